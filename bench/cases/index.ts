/** Every case of the bench, in the order of the table. */

import type { BenchCase } from '../contract.js'
import { chains } from './chains.js'
import { startUp } from './start-up.js'

export const cases: readonly BenchCase[] = [chains, startUp]
