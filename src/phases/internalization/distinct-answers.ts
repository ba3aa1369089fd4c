/**
 * Oversampling (rl.sampling.oversample): of more rollouts than a group takes, those with an answer of their own first, in the
 * order they were drawn, then the others in theirs. What cannot be read is one answer like any other. A group that was
 * chosen so is no sample of the policy any more: it has more answers than the policy would give, and rarer ones.
 */

/** Places of the `count` that are kept, ascending. */
export function distinctFirst(answers: readonly unknown[], count: number): number[] {
  const seen = new Set<unknown>()
  const first: number[] = []
  const again: number[] = []
  answers.forEach((answer, place) => {
    ;(seen.has(answer) ? again : first).push(place)
    seen.add(answer)
  })
  return [...first, ...again].slice(0, count).sort((a, b) => a - b)
}
