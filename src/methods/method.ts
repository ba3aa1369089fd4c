/**
 * What a method (a paper) must supply to the phases: how to ask, how to read the answer, what makes a
 * trace acceptable. How a machine samples and trains is not a method's business (src/phases).
 */

import type { Dataset, Instance, ItemIndex } from '../data/types.js'
import type { Prompt, PromptPart } from '../prompts/prompt.js'

/** reason: think, then answer. direct: title only. hinted: the target shown as a private note. */
export type PromptMode = 'reason' | 'direct' | 'hinted'

export interface ParsedAnswer {
  /** Null where the tags are missing, doubled, out of order, or text stands outside them. */
  readonly reasoning: string | null
  readonly answer: string | null
  /** The item whose normalised title the answer is, among the candidates; null for anything else. */
  readonly item: ItemIndex | null
}

export interface GateResult {
  readonly gate: string
  readonly passed: boolean
  /** What was seen, for the trace file and the report. */
  readonly value: number | string | null
}

/** One accepted or rejected sample of Reasoning Collection; a line of traces.jsonl. */
export interface Trace {
  readonly instance: string
  readonly user: string
  readonly history: readonly ItemIndex[]
  readonly candidates: readonly ItemIndex[]
  readonly target: ItemIndex
  readonly reasoning: string
  readonly answer: string
  readonly answerItem: ItemIndex | null
  /** A unhinted, B hinted, C fallback or fill by the builtin teacher. */
  readonly source: 'A' | 'B' | 'C'
  /** "self", "builtin" or a teacher's name. */
  readonly generator: string
  readonly temperature: number
  readonly stream: string
  readonly tokens: number
  readonly gates: readonly GateResult[]
  /** Log-prob gain of the target given the reasoning (nats per token), null if not scored. */
  readonly gain: number | null
  readonly kept: boolean
}

/** The literal frame of a response; each piece is encoded on its own and the ids are concatenated. */
export interface AnswerForm {
  readonly thinkOpen: string // "<think>\n"
  readonly thinkClose: string // "\n</think>"; the stop string of free thinking is its trimmed form
  readonly answerOpen: string // "\n<answer>"
  readonly answerClose: string // "</answer>"
  readonly directOpen: string // "<answer>": opens a response without reasoning
}

export interface Method {
  readonly name: 're2' | 'r2rec'
  readonly form: AnswerForm
  prompt(dataset: Dataset, instance: Instance, mode: PromptMode): Prompt
  /** Response text after the prompt, tags included. */
  parse(dataset: Dataset, instance: Instance, response: string): ParsedAnswer
  /** Canonical response for training: think z, answer title. `reasoning` null gives the direct form. */
  response(reasoning: PromptPart | null, title: PromptPart): readonly PromptPart[]
  gates(dataset: Dataset, instance: Instance, response: string, pass: Trace['source']): readonly GateResult[]
}
