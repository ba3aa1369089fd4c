/** A small think-then-score validation during training, one line of metrics.jsonl. */

import { rankingOutcomes } from '../../eval/protocol.js'
import { meansOf } from '../../eval/significance.js'
import type { PhaseContext, StageModel } from '../run/context.js'
import { validInstances } from '../run/instances.js'
import type { ValidationMetrics } from '../run/run-record.js'
import { predict } from './predictions.js'

export async function validate(
  context: PhaseContext,
  stage: StageModel,
  at: {
    readonly name: string
    readonly after: ValidationMetrics['after']
    readonly step: number
    readonly instances: number
  },
): Promise<void> {
  const { config, dataset, method } = context
  const instances = validInstances(dataset, config, at.instances).map((instance) =>
    method.question(dataset, instance),
  )
  if (instances.length === 0) return
  const predictions = await predict(context, stage, 'think_score', instances)
  const { hr1, hr5, ndcg5 } = meansOf(
    rankingOutcomes(instances, { scores: predictions.map(({ scores }) => scores) }),
  )
  context.run.metrics({
    phase: 'evaluate',
    model: at.name,
    after: at.after,
    step: at.step,
    hr1,
    hr5,
    ndcg5,
    n: instances.length,
  })
}
