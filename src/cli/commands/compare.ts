/** compare: two evaluated runs, or two rows of one, on the same tests: differences, exact tests, who is answered better. */

import { resolve } from 'node:path'
import Table from 'cli-table3'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { readStoredConfig } from '../../config/load.js'
import type { Dataset } from '../../data/types.js'
import { ReasonrecError } from '../../engine/index.js'
import { methodOf } from '../../methods/registry.js'
import { openTested, testedConfig } from '../../methods/session.js'
import { compareRuns, type EvaluatedRun, type RunComparison } from '../../phases/evaluation/compare-runs.js'
import { metricsOf } from '../../phases/evaluation/evaluation-tasks.js'
import { isRunDirectory } from '../../phases/run/run-directory.js'
import { modeLabel, rowLabel } from '../../report/labels.js'
import { metric, probability, signed, signedInterval } from '../../report/numbers.js'
import { metricLabel } from '../../report/table.js'
import { terminalLine } from '../../report/terminal-text.js'
import { type CommonArguments, commonOptions } from '../options.js'
import { printJson } from '../running.js'

interface CompareArguments extends CommonArguments {
  readonly runA: string
  readonly runB: string
  readonly row?: string | undefined
  readonly mode?: string | undefined
  readonly rowB?: string | undefined
  readonly modeB?: string | undefined
}

/** Users that a terminal shows; --json has them all. */
const shownUsers = 10

export const compareCommand: CommandModule<object, CompareArguments> = {
  command: 'compare <runA> <runB>',
  describe: 'Differences between two evaluated runs on the same tests',
  builder: (parser) =>
    commonOptions(
      parser
        .positional('runA', { type: 'string', demandOption: true, describe: 'Folder of run A' })
        .positional('runB', { type: 'string', demandOption: true, describe: 'Folder of run B' }),
    )
      .option('row', {
        type: 'string',
        requiresArg: true,
        describe: 'Row id such as imitated, or a baseline such as sft_direct; else the last trained model',
      })
      .option('mode', { type: 'string', requiresArg: true, describe: 'How it answered; else the main mode' })
      .option('row-b', { type: 'string', requiresArg: true, describe: 'Row id of run B where it is another' })
      .option('mode-b', { type: 'string', requiresArg: true, describe: 'Mode of run B where it is another' })
      .example('$0 compare runs/a runs/b', 'the last trained models')
      .example('$0 compare runs/a runs/a --row internalized --row-b imitated', 'two rows of one run'),
  handler: async (args: ArgumentsCamelCase<CompareArguments>) => {
    const a = await evaluatedRun(args.runA)
    const b = await evaluatedRun(args.runB, a)
    const first = { row: args.row ?? null, mode: args.mode ?? null }
    const second = { row: args.rowB ?? first.row, mode: args.modeB ?? (args.rowB ? null : first.mode) }
    const comparison = compareRuns(a, b, { a: first, b: second }, args.seed ?? 0)
    if (args.json) printJson(comparison)
    else process.stdout.write(rendered(comparison))
  },
}

/** `other`: its data serves where the same data is asked for. */
async function evaluatedRun(folder: string, other?: EvaluatedRun): Promise<EvaluatedRun> {
  const path = resolve(folder)
  if (!isRunDirectory(path))
    throw new ReasonrecError('RR_OUTPUT_NO_RUN', `${path} holds no run`, {
      expected: 'a folder with config.yaml and state.json',
      remedy: 'give the --out folder of an evaluated run',
    })
  const { config } = readStoredConfig(`${path}/config.yaml`)
  const same =
    other && JSON.stringify(testedConfig(other.config).data) === JSON.stringify(testedConfig(config).data)
  const dataset: Dataset = same ? other.dataset : await openTested(config)
  return { path, config, dataset, metrics: metricsOf(config, methodOf(config)) }
}

function rendered({ a, b, n, users, differences, mcnemar, differing_users }: RunComparison): string {
  const table = new Table({
    head: ['', 'A', 'B', 'A − B', '95 %', 'p bootstrap', 'p permutation'],
    colAligns: ['left', 'right', 'right', 'right', 'left', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const row of differences)
    table.push([
      metricLabel(row.metric),
      metric(row.a),
      metric(row.b),
      signed(row.difference),
      signedInterval(row.lo95, row.hi95),
      probability(row.p),
      probability(row.p_permutation),
    ])
  const name = (side: RunComparison['a']): string =>
    terminalLine(`${rowLabel(side.row)}, ${modeLabel(side.mode)}, ${side.run}`)
  const better = differing_users.filter((user) => user.a > user.b)
  const worse = differing_users.filter((user) => user.a < user.b).reverse()
  const list = (some: RunComparison['differing_users']): string =>
    some.length === 0
      ? ''
      : `: ${some
          .slice(0, shownUsers)
          .map(({ user }) => terminalLine(user))
          .join(', ')}${some.length > shownUsers ? ', ...' : ''}`
  return [
    `A  ${name(a)}`,
    `B  ${name(b)}`,
    `${n} tests of ${users} users; intervals and p by user`,
    table.toString(),
    `HR@1, test by test: only A right ${mcnemar.only_a}, only B right ${mcnemar.only_b}, McNemar p ${probability(mcnemar.p)}`,
    `users answered better by A ${better.length}${list(better)}`,
    `users answered better by B ${worse.length}${list(worse)}`,
    `users answered equally well ${users - better.length - worse.length}`,
    '',
  ].join('\n')
}
