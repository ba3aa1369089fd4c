/** How the models of an evaluation answer, with reasoning and without, over lists and over the whole catalogue. */

import type { Config } from '../../config/schema.js'
import { inferenceModes, type ModelMode } from '../prediction/predictions.js'

/** Are titles of the whole catalogue answers, instead of each test's list? */
export function ranksCatalogue({ eval: settings }: Pick<Config, 'eval'>): boolean {
  return settings.candidates === 'full'
}

/** How a model answers without reasoning. */
export function directMode(config: Pick<Config, 'eval'>): ModelMode {
  return ranksCatalogue(config) ? 'direct_beam' : 'score'
}

/** How a model answers after reasoning: the evaluation's own way, where that has reasoning. */
export function thinkingMode(config: Pick<Config, 'eval'>): ModelMode {
  const { mode } = config.eval
  if (inferenceModes[mode].thinks) return mode
  return ranksCatalogue(config) ? 'think_beam' : 'think_score'
}
