/** The time of one run: by the clock, and of all threads of this process. */

import type { Timing } from './contract.js'

/** `run` returns how many units it did. */
export async function timed(run: () => number | Promise<number>): Promise<Timing> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  const units = await run()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { units, seconds, cpuSeconds: (user + system) / 1e6 }
}
