/** The prompt for one thought in the standard wording (prompts/step.txt): the hops so far, the thoughts so far, one instruction. */

import type { Dataset } from '../../data/types.js'
import type { Prompt, PromptPart } from '../../prompts/prompt.js'
import { fillTemplate } from '../../prompts/template.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { stepInstruction } from './step-instructions.js'
import type { ThoughtRequest } from './step-teacher.js'
import type { Step } from './walk.js'
import { promptTemplate, type Wording } from './wording.js'

export class StepPrompts {
  private readonly step = promptTemplate('step')
  private readonly note = promptTemplate('answer-note')

  /** In the standard wording. */
  constructor(private readonly words: Wording) {}

  /** What the line that is asked for begins with. */
  head({ walk, index }: Pick<ThoughtRequest, 'walk' | 'index'>): string {
    return this.words.stepHead(walk[index] as Step)
  }

  of(dataset: Dataset, request: ThoughtRequest): Prompt {
    const { question, walk, index, thoughts, view, answer } = request
    return fillTemplate(this.step, {
      ...this.words.shared(dataset, question, view),
      thoughts: thoughtsSoFar(thoughts),
      note: answer === null ? [] : this.noteOf(answer),
      step: String((walk[index] as Step).number),
      words: String(this.words.options.stepWords),
      instruction: stepInstruction(walk, index),
      form: `${this.head(request)}...`,
    })
  }

  private noteOf(answer: number): readonly PromptPart[] {
    return fillTemplate(this.note, { answer: String(answer) }).messages[0]?.parts ?? []
  }
}

export function thoughtsSoFar(thoughts: readonly string[]): readonly PromptPart[] {
  return thoughts.length === 0 ? [] : ['Steps so far:\n', untrustedPassage(thoughts.join('\n'))]
}
