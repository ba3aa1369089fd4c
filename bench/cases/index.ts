/** Every case of the bench, in the order of the table. */

import type { BenchCase } from '../contract.js'
import { chains } from './chains.js'
import { decode } from './decode.js'
import { gemm } from './gemm.js'
import { headLoss } from './head-loss.js'
import { kernels } from './kernels.js'
import { memory } from './memory.js'
import { policyStep } from './policy-step.js'
import { prefill } from './prefill.js'
import { rlStep } from './rl-step.js'
import { rolloutGroup } from './rollout-group.js'
import { scaling } from './scaling.js'
import { scoreCandidates } from './score-candidates.js'
import { sftStep } from './sft-step.js'
import { startUp } from './start-up.js'
import { tiny } from './tiny.js'

export const cases: readonly BenchCase[] = [
  gemm,
  decode,
  prefill,
  sftStep,
  policyStep,
  rlStep,
  tiny,
  memory,
  scoreCandidates,
  startUp,
  headLoss,
  rolloutGroup,
  chains,
  kernels,
  scaling,
]
