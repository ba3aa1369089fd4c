/** traces.jsonl as the other phases use it: the kept traces, and the instance each one belongs to. */

import type { Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import type { Trace } from '../../methods/method.js'
import { readJsonLines } from '../run/files.js'
import type { RunDirectory } from '../run/run-directory.js'

export function readTraces(run: RunDirectory): Trace[] {
  return readJsonLines<Trace>(run.file('traces.jsonl'))
}

export function keptTraces(run: RunDirectory): Trace[] {
  const kept = readTraces(run).filter((trace) => trace.kept)
  if (kept.length === 0) throw noTraces()
  return kept
}

/** With the candidates as they were shown when the trace was written. */
export function instanceOf(trace: Trace): Instance {
  return {
    id: trace.instance,
    user: trace.user,
    history: trace.history,
    target: trace.target,
    candidates: trace.candidates,
    ...(trace.evidence !== undefined && { evidence: trace.evidence }),
  }
}

export function noTraces(): ReasonrecError {
  return new ReasonrecError('RR_NO_TRACES', 'no trace passed the gates, so there is nothing to imitate', {
    expected: 'at least one kept trace',
    got: 'none',
    remedy:
      'sample more (collect.k_free, collect.k_hint), loosen collect.min_words, or set collect.fill to builtin',
  })
}
