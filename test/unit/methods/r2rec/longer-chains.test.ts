/** Chains through two other users (graph.middles 2): drawn, thought about and judged hop by hop, each by its own user. */

import { describe, expect, it } from 'vitest'
import { R2RecBuiltinTeacher } from '../../../../src/methods/r2rec/builtin-teacher.js'
import type { Chain } from '../../../../src/methods/r2rec/chain.js'
import { thoughtsOf } from '../../../../src/methods/r2rec/interaction-of-thoughts.js'
import { textGates } from '../../../../src/methods/r2rec/quality-filter.js'
import { ratingQuestion } from '../../../../src/methods/r2rec/question.js'
import { walksOf } from '../../../../src/methods/r2rec/walk.js'
import { promptText } from '../../../../src/prompts/prompt.js'
import { handMade, instance, methodOf } from './hand-made.js'

/** ann - Lagoon Orin - bob - Vale Tamsin - cam - Cove Pell - ann. */
const long: Chain = {
  users: ['ann', 'bob', 'cam'],
  items: [0, 1, 2],
  ratings: [5, 2, 4, 4, 5, null],
  closed: true,
}
const question = ratingQuestion(handMade, instance, [long])
const [walk = []] = walksOf(question)

describe.each(['standard', 'compact'] as const)('a chain of three users, %s', (wording) => {
  const method = methodOf({ wording })
  const teacher = new R2RecBuiltinTeacher(handMade, method.words, 3)
  const reasoning = teacher.lines(question, walk, 4)

  it('is asked about and answered in six steps that pass the gates', () => {
    expect(promptText(method.prompt(handMade, question, 'reason'))).toMatch(
      wording === 'compact' ? /\nc Vale Tamsin 4\nc Cove Pell 5\na Cove Pell \?/ : /u2 .*Vale Tamsin/,
    )
    expect(thoughtsOf(reasoning, wording === 'compact')?.map(({ number }) => number)).toEqual([
      1, 2, 3, 4, 5, 6,
    ])
    const response =
      wording === 'compact'
        ? `<think>${reasoning}</think><answer>4</answer>`
        : `<think>\n${reasoning}\n</think>\n<answer>4</answer>`
    const failed = textGates(handMade, question, response, wording === 'compact').filter(
      ({ passed }) => !passed,
    )
    expect(failed).toEqual([])
  })

  it('names in each step the user whose step it is, where a wording names users', () => {
    if (wording === 'compact') return expect(reasoning).not.toMatch(/u\d/)
    const users = [['u0'], ['u1', 'u0'], ['u1'], ['u2', 'u1'], ['u2'], ['u0', 'u2']]
    for (const [index, line] of reasoning.split('\n').entries()) {
      const said = line.replace(/^Step \d \(u\d - i\d\): /, '').match(/\bu\d\b/gi) ?? []
      for (const user of said) expect(users[index], line).toContain(user)
      expect(said.length, line).toBeGreaterThan(0)
    }
  })
})
