/**
 * What a method (a paper) must supply to the phases: how to ask, how to read the answer, what makes a
 * trace acceptable. How a machine samples and trains is not a method's business (src/phases).
 */

import type { Dataset, Instance, ItemIndex } from '../data/types.js'
import type { RankingMetric } from '../eval/result-row.js'
import type { Prompt, PromptPart } from '../prompts/prompt.js'

/** reason: think, then answer. direct: title only. hinted: the target shown as a private note. */
export type PromptMode = 'reason' | 'direct' | 'hinted'

export interface ParsedAnswer {
  /** Null where the tags are missing, doubled, out of order, or text stands outside them. */
  readonly reasoning: string | null
  readonly answer: string | null
  /** The candidate that the answer recommends; null for anything else. */
  readonly item: ItemIndex | null
  /** The candidates the answer names, best first, where it is a list. */
  readonly ranking?: readonly ItemIndex[]
  /** The answer is a rating: its distance from the user's own, null where that is not known. */
  readonly ratingError?: number | null
  /** The reasoning has the steps that were asked for, where a method asks for some. */
  readonly steps?: boolean
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
  /** As in Instance: what was shown beside the lists. */
  readonly evidence?: unknown
}

/** The literal frame of a response; each piece is encoded on its own and the ids are concatenated. */
export interface AnswerForm {
  readonly thinkOpen: string // "<think>\n"
  readonly thinkClose: string // "\n</think>"; the stop string of free thinking is its trimmed form
  readonly answerOpen: string // "\n<answer>"
  readonly answerClose: string // "</answer>"
  readonly directOpen: string // "<answer>": opens a response without reasoning
  /**
   * A choice's ids end with `answerClose`: titles need it, or one would be the beginning of another. Labels of one length
   * stand alone, for an answer may go on behind them.
   */
  readonly choiceCloses: boolean
}

/** One edge of a drawn chain. Titles and thoughts are untrusted. */
export interface DrawnHop {
  /** "u0 - i0" */
  readonly hop: string
  readonly title: string
  /** Null: asked for, or not known. */
  readonly rating: number | null
  /** What the reasoning says at this hop, where it walked the chain. */
  readonly thought: string | null
}

export interface DrawnChain {
  readonly closed: boolean
  readonly hops: readonly DrawnHop[]
}

/** Tests as a control row is shown them: the targets and candidates stay everybody's. */
export type Control = (dataset: Dataset, tests: readonly Instance[], seed: number) => readonly Instance[]
export type ControlId = 'shuffled_history' | 'shuffled_ratings'

export interface Method {
  readonly name: 're2' | 'r2rec'
  readonly form: AnswerForm
  /**
   * What the method asks about an instance: the instance with its evidence. A pure function. `practice`: for a prompt of
   * Internalization, which may ask something else.
   */
  question(dataset: Dataset, instance: Instance, use?: 'practice'): Instance
  /**
   * Where a method can rate candidates one by one (eval.pointwise): a question for each, in their order, whose choices are
   * grades from the lowest to the highest.
   */
  eachCandidate?(dataset: Dataset, instance: Instance): readonly Instance[]
  prompt(dataset: Dataset, instance: Instance, mode: PromptMode): Prompt
  /** Response text after the prompt, tags included. */
  parse(dataset: Dataset, instance: Instance, response: string): ParsedAnswer
  /** What an answer may begin with, for choosing and scoring: one for each candidate, in their order, where there are candidates. */
  choices(dataset: Dataset, instance: Instance): readonly PromptPart[]
  /** Which of the choices is right; -1 where it is not known. */
  rightChoice(dataset: Dataset, instance: Instance): number
  /** Did the trace's own answer turn out right? */
  isRight(dataset: Dataset, trace: Trace): boolean
  /** The answer that a trace teaches. */
  taughtAnswer(dataset: Dataset, trace: Trace): readonly PromptPart[]
  /** Canonical response for training: think z, answer y. `reasoning` null gives the direct form. */
  response(reasoning: PromptPart | null, ...answer: readonly PromptPart[]): readonly PromptPart[]
  /** What of the evidence is drawn beside a reasoning, with the thoughts that belong to it. */
  drawn?(dataset: Dataset, instance: Instance, reasoning: string): readonly DrawnChain[]
  /** What a reader of the table should know about how these tests are asked. */
  remarks?(dataset: Dataset, tests: readonly Instance[]): readonly string[]
  gates(dataset: Dataset, instance: Instance, response: string, pass: Trace['source']): readonly GateResult[]
  /** Gates that a kept trace has passed; the others are recorded only. */
  readonly requiredGates: ReadonlySet<string>
  /** What rows of the result table carry, in the order of the table. */
  readonly metrics: readonly RankingMetric[]
  readonly controls: Readonly<Partial<Record<ControlId, Control>>>
  /** The traces that Imitation learns from, of those that were kept. */
  mixture(traces: readonly Trace[], seed: number): readonly Trace[]
}
