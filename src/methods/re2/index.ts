/**
 * RE2 as a method: how it asks (prompts/), how it reads an answer (parse.ts), what it accepts as a trace (gates.ts),
 * and its presets. README.md maps the paper to these files.
 */

import { readFileSync } from 'node:fs'
import type { Dataset, Instance } from '../../data/types.js'
import { basicMetrics } from '../../eval/result-row.js'
import { capitalised, plainNoun, plural } from '../../prompts/noun.js'
import type { PromptPart } from '../../prompts/prompt.js'
import { fillTemplate, lineParts, loadTemplate, type PromptTemplate } from '../../prompts/template.js'
import { phraseList } from '../../rewards/text-statistics.js'
import { exchangedHistories } from '../controls.js'
import type { AnswerForm, Method, PromptMode } from '../method.js'
import { defaultThresholds, type GatePhrases, type GateThresholds, traceGates } from './gates.js'
import { parseResponse } from './parse.js'

export type Wording = 'standard' | 'short' | 'compact'

export interface Re2Options {
  /** Word limit stated in the prompt (W). */
  readonly maxWords: number
  /**
   * short: the same requests in fewer tokens; the default up to 80 words. compact: little more than the lists, for a
   * model that was pre-trained on it.
   */
  readonly wording?: Wording
  readonly gates?: Partial<GateThresholds>
  /** Gates that a kept trace has passed; none unless told. */
  readonly requiredGates?: readonly string[]
}

export const presetNames = ['re2', 're2-small-cpu', 're2-quickstart'] as const

export const re2Form: AnswerForm = {
  thinkOpen: '<think>\n',
  thinkClose: '\n</think>',
  answerOpen: '\n<answer>',
  answerClose: '</answer>',
  directOpen: '<answer>',
  choiceCloses: true,
}

/** The same tags without line breaks around them. */
const compactForm: AnswerForm = {
  thinkOpen: '<think>',
  thinkClose: '</think>',
  answerOpen: '<answer>',
  answerClose: '</answer>',
  directOpen: '<answer>',
  choiceCloses: true,
}

/** Path of a preset's YAML; the build copies presets and prompts beside the compiled module. */
export function re2Preset(name: (typeof presetNames)[number]): URL {
  return new URL(`./presets/${name}.yaml`, import.meta.url)
}

/** Phrases of gate G4 and of the reward term `leak`, and the cues of gate G7. */
export function re2Phrases(): GatePhrases {
  return { leaks: phrases('leak-phrases'), historyCues: phrases('history-cues') }
}

export function re2(options: Re2Options): Method {
  const { maxWords, wording = maxWords <= 80 ? 'short' : 'standard' } = options
  const suffix = wording === 'standard' ? '' : `-${wording}`
  const form = wording === 'compact' ? compactForm : re2Form
  const reason = template(`reason${suffix}`)
  const direct = template(`direct${suffix}`)
  const hint = template(`hint${suffix}`)
  const thresholds = { ...defaultThresholds(maxWords), ...options.gates }
  const gatePhrases = re2Phrases()
  return {
    name: 're2',
    form,
    prompt: (dataset, instance, mode) => {
      const values = {
        ...sharedValues(dataset, instance, wording),
        words: String(maxWords),
        note: note(hint, dataset, instance, mode),
      }
      return fillTemplate(mode === 'direct' ? direct : reason, values)
    },
    question: (_, instance) => instance,
    parse: parseResponse,
    choices: (dataset, instance) => instance.candidates.map((item) => titleOf(dataset, instance, item)),
    rightChoice: (_, { candidates, target }) => candidates.indexOf(target),
    isRight: (_, { answerItem, target }) => answerItem === target,
    taughtAnswer: (dataset, trace) => [
      titleOf(dataset, { id: trace.instance }, trace.answerItem ?? trace.target),
    ],
    response: (reasoning, ...title) => responseParts(form, reasoning, title),
    gates: (dataset, instance, response, pass) =>
      traceGates(
        dataset,
        instance,
        parseResponse(dataset, instance, response),
        pass,
        thresholds,
        gatePhrases,
      ),
    requiredGates: new Set(options.requiredGates),
    metrics: basicMetrics,
    controls: { shuffled_history: (_, tests, seed) => exchangedHistories(tests, seed) },
    mixture: (traces) => traces,
  }
}

/** Each part is encoded on its own, so the boundaries of tags, reasoning and title are boundaries of tokens. */
function responseParts(
  form: AnswerForm,
  reasoning: PromptPart | null,
  title: readonly PromptPart[],
): readonly PromptPart[] {
  const { thinkOpen, thinkClose, answerOpen, answerClose, directOpen } = form
  if (reasoning === null) return [directOpen, ...title, answerClose]
  return [thinkOpen, reasoning, thinkClose, answerOpen, ...title, answerClose]
}

function sharedValues(
  dataset: Dataset,
  instance: Instance,
  wording: Wording,
): Record<string, PromptPart | readonly PromptPart[]> {
  const noun = plainNoun(dataset.noun)
  const title = (item: number): PromptPart => titleOf(dataset, instance, item)
  const compact = wording === 'compact'
  const listed = lineParts(instance.candidates.map((item) => ['- ', title(item)]))
  const heading = compact ? [] : [`Choose from these ${instance.candidates.length} ${plural(noun)}:\n`]
  const candidates: PromptPart[] = instance.candidates.length === 0 ? [] : [...heading, ...listed]
  return {
    noun,
    nouns: plural(noun),
    Nouns: capitalised(plural(noun)),
    history: lineParts(
      instance.history.map((item, position) => [compact ? '+ ' : `${position + 1}. `, title(item)]),
    ),
    candidates,
  }
}

function titleOf(dataset: Dataset, { id }: Pick<Instance, 'id'>, item: number): PromptPart {
  const found = dataset.items[item]
  if (!found) throw new RangeError(`instance ${id} names item ${item} of ${dataset.items.length}`)
  return found.title
}

function note(
  hint: PromptTemplate,
  dataset: Dataset,
  instance: Instance,
  mode: PromptMode,
): readonly PromptPart[] {
  if (mode !== 'hinted') return []
  const target = dataset.items[instance.target]
  return target ? (fillTemplate(hint, { target: target.title }).messages[0]?.parts ?? []) : []
}

function template(name: string): PromptTemplate {
  return loadTemplate(new URL(`./prompts/${name}.txt`, import.meta.url))
}

function phrases(name: string): string[] {
  return phraseList(readFileSync(new URL(`./prompts/${name}.txt`, import.meta.url), 'utf8'))
}
