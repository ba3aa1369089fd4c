/** What a teacher behind a server is asked: the standard wording, whatever the student's is, and how long it may answer. */

import type { Config } from '../../config/schema.js'
import type { Dataset, Instance } from '../../data/types.js'
import type { Prompt } from '../../prompts/prompt.js'
import { fillTemplate } from '../../prompts/template.js'
import { StepPrompts, thoughtsSoFar } from './step-prompt.js'
import type { ThoughtRequest } from './step-teacher.js'
import { promptTemplate, titleOf, Wording, type WordingOptions } from './wording.js'

export class ChatPrompts {
  private readonly words: Wording
  private readonly steps: StepPrompts
  private readonly blindTemplate = promptTemplate('blind')

  /** `student`: of its wording, the limits are kept. */
  constructor(
    private readonly dataset: Dataset,
    student: WordingOptions,
  ) {
    this.words = new Wording({ ...student, wording: 'standard' })
    this.steps = new StepPrompts(this.words)
  }

  step(request: ThoughtRequest): Prompt {
    return this.steps.of(this.dataset, request)
  }

  /** The whole question; `answer` in the place of "?" where it is shown. */
  whole(question: Instance, answer: number | null): Prompt {
    return this.words.question(this.dataset, question, 'reason', answer === null ? {} : { answer })
  }

  blind(question: Instance, thoughts: readonly string[]): Prompt {
    return fillTemplate(this.blindTemplate, {
      ...this.words.shared(this.dataset, question, {}),
      thoughts: thoughtsSoFar(thoughts),
      item: titleOf(this.dataset, question.target),
    })
  }
}

/** Longest answers in a teacher's tokens, which are not the student's: the limit in words is what both are told. */
export function answerTokens({ r2rec, collect }: Config): {
  readonly step: number
  readonly ranking: number
} {
  const step = Math.max(r2rec.step_max_new, 2 * r2rec.step_words + 64)
  return { step, ranking: Math.max(collect.max_new, 4 * step) }
}
