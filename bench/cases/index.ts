/** Every case of the bench, in the order of the table. */

import type { BenchCase } from '../contract.js'
import { chains } from './chains.js'
import { decode } from './decode.js'
import { gemm } from './gemm.js'
import { headLoss } from './head-loss.js'
import { prefill } from './prefill.js'
import { startUp } from './start-up.js'

export const cases: readonly BenchCase[] = [gemm, headLoss, prefill, decode, startUp, chains]
