/**
 * Step 1 of RE2, Reasoning Collection: guide a model to write reasoning and a recommended item for every
 * interaction sequence. Pass A without, pass B with the true item as a private note (passes.ts); what passes the gates
 * (gates.ts) is kept. One key flips the regime (teacher.kind): self, the model to be trained writes; openai, a model behind
 * a server does. The builtin teacher fills up where too little is kept, and its share is stored.
 */

import { collect } from '../../phases/collection/collect.js'
import type { TraceChoice } from '../../phases/collection/trace-selection.js'
import type { PhaseContext } from '../../phases/run/context.js'
import { askedInstances } from '../../phases/run/instances.js'
import type { CollectSummary } from '../../phases/run/run-record.js'
import { partsText } from '../../prompts/prompt.js'
import { BuiltinTeacher } from '../../teacher/builtin.js'
import { planLine } from '../../teacher/openai/plan.js'
import { ChatTeacher } from '../../teacher/openai/teacher.js'
import type { Trace } from '../method.js'
import { BoilerplateFilter } from './dedupe.js'
import { Passes } from './passes.js'
import { selectTraces } from './selection.js'
import { re2TeacherPlan } from './teacher-plan.js'
import { ChatWriter, type PassWriter, SelfWriter } from './writers.js'

export function reasoningCollection(context: PhaseContext): Promise<CollectSummary> {
  const { config, dataset, method } = context
  const builtin = new BuiltinTeacher(dataset, {
    seed: config.seed,
    maxWords: config.prompt.max_words,
    respond: (reasoning, title) => partsText(method.response(reasoning, title)),
  })
  return collect(context, async (written) => {
    const writer = await writerOf(context)
    return new Passes(context, writer, builtin, choiceAfter(written))
  })
}

/** Null: the builtin teacher alone. */
async function writerOf(context: PhaseContext): Promise<PassWriter | null> {
  const { config, run, signal, progress } = context
  if (config.teacher.kind === 'builtin') return null
  if (config.teacher.kind === 'self') return new SelfWriter(context)
  const teacher = await ChatTeacher.open(config, run.path, signal)
  if (!config.teacher.replay) progress.note(planLine(re2TeacherPlan(context, askedInstances(context))))
  return new ChatWriter(context, teacher)
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
