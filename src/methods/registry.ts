/** The methods by name: how each is made from a configuration, its steps, its presets. */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Config } from '../config/schema.js'
import { ReasonrecError } from '../engine/errors.js'
import type { MethodSteps } from '../phases/pipeline.js'
import type { Method } from './method.js'
import { presetNames, re2, re2Preset } from './re2/index.js'
import { patternImitation } from './re2/pattern-imitation.js'
import { patternInternalization } from './re2/pattern-internalization.js'
import { reasoningCollection } from './re2/reasoning-collection.js'

const steps: Readonly<Record<Config['method'], MethodSteps>> = {
  re2: { collect: reasoningCollection, imitate: patternImitation, internalize: patternInternalization },
}

export function methodSteps(config: Config): MethodSteps {
  return steps[config.method]
}

export function methodOf(config: Config): Method {
  const { collect, prompt } = config
  return re2({
    maxWords: prompt.max_words,
    ...(prompt.wording !== 'auto' && { wording: prompt.wording }),
    requiredGates: collect.gates,
    gates: {
      ...(collect.min_words !== null && { minWords: collect.min_words }),
      ...(collect.max_words !== null && { maxWords: collect.max_words }),
      maxRepeat: collect.max_repeat,
      minAscii: collect.min_ascii,
      keepMisses: collect.keep_misses,
    },
  })
}

/** The YAML file of a preset. Throws RR_USAGE_PRESET for an unknown name. */
export function presetFile(name: string): string {
  const known = presetNames.find((preset) => preset === name)
  const file = known && fileURLToPath(re2Preset(known))
  if (file && existsSync(file)) return file
  throw new ReasonrecError('RR_USAGE_PRESET', `there is no preset ${name}`, {
    expected: presetNames.join(', '),
    remedy: 'choose one of them, or give a file with --config',
  })
}
