/** A process that does one training step and says its largest memory: what bench/cases/memory.ts starts, a question on stdin. */

import { readFileSync } from 'node:fs'
import { setThreads } from '../src/engine/index.js'
import {
  type FixedRollouts,
  optimiser,
  policyBackward,
  sftBackward,
  type Text,
  trainerOf,
} from './cases/training.js'
import type { Size } from './contract.js'
import { type Stored, setProducts, subjectOf } from './subject.js'
import { timed } from './timing.js'

export interface PeakQuestion {
  readonly size: Size
  readonly threads: number
  /** Of products with bf16 weights. */
  readonly products: Stored
  readonly sequences?: readonly Text[]
  readonly rollouts?: FixedRollouts
}

/** VmHWM of this process, bytes. */
function peakBytes(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
}

const { size, threads, products, sequences, rollouts } = JSON.parse(readFileSync(0, 'utf8')) as PeakQuestion
await setThreads(threads)
setProducts(products)
const subject = subjectOf(size)
const trainer = await trainerOf(subject, await subject.model('bf16'))
const timing = await timed(async () => {
  if (sequences) await sftBackward(trainer, sequences)
  if (rollouts) await policyBackward(trainer, rollouts)
  await trainer.apply(optimiser)
  return 1
})
process.stdout.write(`${JSON.stringify({ ...timing, bytes: peakBytes() })}\n`)
