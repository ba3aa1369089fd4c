/**
 * Who writes traces: the model itself (self-distillation), the builtin template teacher, or a larger model. All give
 * whole responses in the form of the method, so that one parser and one set of gates judges them alike.
 */

import type { Instance } from '../data/types.js'

/** Name of the template teacher, stored with its traces. */
export const builtinTeacher = 'builtin'

export interface TeacherRequest {
  /** The target is shown privately; otherwise the teacher must not use it. */
  readonly hinted: boolean
  /** Responses per instance. */
  readonly count: number
}

export interface TeacherResponse {
  /** Tags included. Text from outside: parse it, and encode what is taken from it as untrusted. */
  readonly text: string
  /** What it was drawn from, so that it can be drawn again. */
  readonly stream: string
  /** 0: not sampled. */
  readonly temperature: number
  /** Tokens of the writer's own tokenizer; null where it has none. */
  readonly tokens: number | null
}

export interface Teacher {
  /** "self", "builtin" or a model's name; stored with every trace. */
  readonly name: string
  /** One list per instance, `count` long, fewer where the teacher has no more to say. Training instances only. */
  propose(
    instances: readonly Instance[],
    request: TeacherRequest,
  ): Promise<readonly (readonly TeacherResponse[])[]>
}
