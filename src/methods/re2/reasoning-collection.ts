/**
 * Step 1 of RE2, Reasoning Collection: guide a model to write reasoning and a recommended item for every
 * interaction sequence. Self-distillation: the model to be trained writes; pass A without, pass B with the
 * true item as a private note (passes.ts); what passes the gates (gates.ts) is kept. The builtin teacher fills up
 * where a small model keeps too little, and its share is stored.
 */

import { collect } from '../../phases/collection/collect.js'
import type { TraceChoice } from '../../phases/collection/trace-selection.js'
import type { PhaseContext } from '../../phases/run/context.js'
import type { CollectSummary } from '../../phases/run/run-record.js'
import { partsText } from '../../prompts/prompt.js'
import { BuiltinTeacher } from '../../teacher/builtin.js'
import type { Trace } from '../method.js'
import { BoilerplateFilter } from './dedupe.js'
import { Passes } from './passes.js'
import { selectTraces } from './selection.js'

export function reasoningCollection(context: PhaseContext): Promise<CollectSummary> {
  const { config, dataset, method } = context
  const builtin = new BuiltinTeacher(dataset, {
    seed: config.seed,
    maxWords: config.prompt.max_words,
    respond: (reasoning, title) => partsText(method.response(reasoning, title)),
  })
  return collect(context, (written) => new Passes(context, builtin, choiceAfter(written)))
}

/** The filter of repeated reasoning, brought to where the last sitting left it. */
function choiceAfter(written: readonly Trace[]): TraceChoice {
  const filter = new BoilerplateFilter()
  for (const { instance, reasoning, gates } of written) {
    if (gates.some(({ gate, passed }) => gate === 'G10' && passed)) filter.admit(instance, reasoning)
  }
  return {
    select: selectTraces,
    admit: (instance: string, reasoning: string) => filter.admit(instance, reasoning),
  }
}
