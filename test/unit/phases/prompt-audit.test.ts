/** Titles that a prompt shows outside the list of candidates. */
import { describe, expect, it } from 'vitest'
import { timesShown } from '../../../src/phases/evaluation/prompt-audit.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'

const prompt = (...parts: (string | ReturnType<typeof untrusted>)[]) => ({
  messages: [
    { role: 'system' as const, parts: ['Recommend one title. Answer in the form asked.'] },
    { role: 'user' as const, parts },
  ],
})

describe('a title in a prompt', () => {
  it('counts where it is a part of its own', () => {
    const [dune, other] = [untrusted('Dune'), untrusted('Dune Messiah')]
    expect(timesShown(prompt('History: ', other, '\nCandidates: ', dune, ', ', other), 'Dune')).toBe(1)
    expect(timesShown(prompt('History: ', dune, '\nCandidates: ', dune), 'Dune')).toBe(2)
  })
  it('counts in our own words as whole words only', () => {
    expect(timesShown(prompt('x'), 'Answer')).toBe(1)
    expect(timesShown(prompt('x'), 'Answ')).toBe(0)
    expect(timesShown(prompt('(a+b) of [it]'), '(a+b)')).toBe(1)
    expect(timesShown(prompt('it'), 'it')).toBe(0)
  })
})
