/**
 * Who writes thoughts: the model that is to be trained (self-teacher.ts) or the builtin teacher (builtin-teacher.ts). A
 * teacher is asked for many thoughts at once, one for each question that has come to this step, so that a machine
 * can decode them together.
 */

import type { Instance } from '../../data/types.js'
import type { Step } from './walk.js'
import type { View } from './wording.js'

/** One thought to be written. */
export interface ThoughtRequest {
  /** The question as a student would be asked it. */
  readonly question: Instance
  readonly walk: readonly Step[]
  /** Step to write, from 0. */
  readonly index: number
  /** Lines of the steps before, heads included. */
  readonly thoughts: readonly string[]
  /** What of the chain may be shown: the hops up to this one. */
  readonly view: View
  /** The right answer, at the last step only; null before it. */
  readonly answer: number | null
  readonly stream: bigint
}

/** All thoughts of a question, in one text. */
export type ThoughtsRequest = Omit<ThoughtRequest, 'index' | 'thoughts' | 'view'>

/** A second answer, given the thoughts but the last and not the right answer. */
export type BlindRequest = Omit<ThoughtRequest, 'index' | 'view' | 'answer'>

export interface Written {
  /** Lines, heads included; empty where nothing usable was written. */
  readonly text: string
  /** Tokens sampled; 0 where nothing was. */
  readonly tokens: number
}

export interface StepTeacher {
  /** "self", "builtin" or a model's name; stored with every trace. */
  readonly name: string
  readonly temperature: number
  /** One line each. */
  writeThoughts(requests: readonly ThoughtRequest[]): Promise<readonly Written[]>
  /** All lines at once (prompting: one_shot). */
  writeAll(requests: readonly ThoughtsRequest[]): Promise<readonly Written[]>
  /** A rating from 1 to 5 each; null where none could be read. */
  answerBlind(requests: readonly BlindRequest[]): Promise<readonly (number | null)[]>
}
