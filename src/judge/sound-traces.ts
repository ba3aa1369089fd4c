/** The reasonings that faults are planted in: traces that passed the gates of Collection, one an instance. */

import type { Dataset } from '../data/types.js'
import type { Trace } from '../methods/method.js'
import type { SoundTrace } from './faults.js'

export function soundTraces(dataset: Dataset, traces: readonly Trace[]): SoundTrace[] {
  const title = (item: number): string => dataset.items[item]?.title.text ?? ''
  const seen = new Set<string>()
  return traces.flatMap((trace) => {
    if (!trace.kept || trace.answerItem === null || seen.has(trace.instance)) return []
    seen.add(trace.instance)
    const { user, history, candidates, reasoning, answerItem } = trace
    const question = {
      history: history.map(title),
      candidates: candidates.map(title),
      reasoning,
      answer: title(answerItem),
    }
    return [{ user, question }]
  })
}
