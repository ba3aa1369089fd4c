/**
 * RE2's three phases from code, on the model and the world that come with the project:
 *   node docs/examples/train.mjs OUT [key=value ...]
 * Stop it and run it again: it goes on where it was, to the same bits.
 */

import { collect, evaluate, imitate, internalize, startRun } from 'reasonrec'

const [out = 'runs/example', ...keys] = process.argv.slice(2)
const set = Object.fromEntries(keys.map((pair) => [pair.split('=')[0], JSON.parse(pair.split('=')[1])]))

const run = await startRun({ preset: 're2-quickstart', out, set })
try {
  await collect(run)
  await imitate(run)
  await internalize(run)
  const { table } = await evaluate(run)
  for (const { id, mode, hr1, lo95, hi95 } of table)
    console.log(`${id} (${mode}): HR@1 ${hr1.toFixed(3)} [${lo95.hr1.toFixed(3)}, ${hi95.hr1.toFixed(3)}]`)
} finally {
  run.run.close()
}
