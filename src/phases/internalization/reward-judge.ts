/**
 * The judge behind the reward term `judge`, where a server is asked (judge.model) instead of a file of scores. Before the
 * first step it is calibrated on the traces of Collection; a judge that misses planted faults rewards nothing, and the run
 * stops before a step is paid for. Its answers lie in the ledger, so a resumed run asks nothing twice.
 */

import type { Dataset } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import { type Calibration, calibrate } from '../../judge/calibration.js'
import { ChatJudge } from '../../judge/chat-judge.js'
import { soundTraces } from '../../judge/sound-traces.js'
import type { ComposedReward } from '../../rewards/composition.js'
import { readTraces } from '../collection/traces.js'
import type { PhaseContext } from '../run/context.js'
import { writeDurably } from '../run/files.js'

export interface RewardInUse {
  readonly reward: ComposedReward
  close(): Promise<void>
}

export const calibrationFile = 'judge-calibration.json'

/** @throws RR_JUDGE_UNTRUSTED, what ChatJudge.open and the ledger throw */
export async function rewardInUse(context: PhaseContext, reward: ComposedReward): Promise<RewardInUse> {
  if (!reward.needs.has('judge') || reward.judge !== null) return { reward, close: async () => {} }
  const { config, run, signal, dataset } = context
  const judge = await ChatJudge.open(config, run.file('judge'), signal)
  try {
    const calibration = await calibrate(judge, soundTraces(dataset, readTraces(run)), {
      count: config.judge.calibration,
      detection: config.judge.detection,
      seed: config.seed,
      titles: titlesIn(dataset),
    })
    writeDurably(
      run.file(calibrationFile),
      `${JSON.stringify({ judge: judge.name, ...calibration }, null, 1)}\n`,
    )
    if (!calibration.absolute.trusted) throw untrusted(judge.name, calibration)
    return { reward: reward.withJudge(judge), close: () => judge.close() }
  } catch (error) {
    await judge.close()
    throw error
  }
}

function titlesIn(dataset: Dataset): readonly string[] {
  return dataset.items.map(({ title }) => title.text)
}

function untrusted(judge: string, { absolute }: Calibration): ReasonrecError {
  return new ReasonrecError(
    'RR_JUDGE_UNTRUSTED',
    `the judge ${judge} misses faults that were planted for it`,
    {
      expected: 'every planted fault found as often as judge.detection asks',
      got: absolute.reasons.join(', '),
      remedy: 'ask a stronger judge (judge.model), or leave the term out (rl.reward.weights.judge: 0)',
    },
  )
}
