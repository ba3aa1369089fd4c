/** data import-scores: another program's scores of our tests under our evaluator, beside the counting rows. */

import { basename } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { auditOf } from '../../../eval/audit/audit.js'
import { countingBaselines } from '../../../eval/baselines/counting.js'
import { importedScores } from '../../../eval/baselines/imported-scores.js'
import { rankedRows, scorerOf } from '../../../eval/ranked-rows.js'
import { pairedDifferences } from '../../../eval/significance.js'
import { openRankingData } from '../../../methods/session.js'
import { testInstances } from '../../../phases/run/instances.js'
import { renderDifferences, renderTable } from '../../../report/table.js'
import { configOf, type RunArguments, runOptions } from '../../options.js'
import { note, printJson } from '../../running.js'

interface ImportScoresArguments extends RunArguments {
  readonly file: string
  readonly name?: string | undefined
  readonly missing: 'refuse' | 'last'
}

export const importScoresCommand: CommandModule<object, ImportScoresArguments> = {
  command: 'import-scores <file>',
  describe: 'Judge scores of another program on our tests',
  builder: (parser) =>
    runOptions(parser)
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: 'Table with instance or user, item, score',
      })
      .option('name', { type: 'string', requiresArg: true, describe: 'Name of the row; else of the file' })
      .option('missing', {
        choices: ['refuse', 'last'] as const,
        default: 'refuse' as const,
        describe: 'Candidates without a score: an error, or last',
      })
      .example('$0 data import-scores scores.csv --data DIR --set data.split=loo', ''),
  handler: async (args: ArgumentsCamelCase<ImportScoresArguments>) => {
    const { config, hash } = configOf(args)
    const dataset = await openRankingData(config)
    const tests = testInstances(dataset, config)
    const name = args.name ?? basename(args.file)
    const imported = await importedScores(args.file, dataset, tests, { name, missing: args.missing })
    const scorers = [...countingBaselines(dataset, config.baselines).map(scorerOf), imported]
    const rows = await rankedRows(dataset, tests, scorers, { seed: config.seed })
    const differences = against(rows, config.seed)
    const { verdict, findings } = auditOf(dataset)
    const table = rows.map(({ row }) => row)
    if (args.json)
      return printJson({
        schema: 1,
        config_hash: hash,
        table,
        differences,
        missing: imported.missing,
        audit: { verdict, findings },
      })
    process.stdout.write(`${renderTable(table)}\n${renderDifferences(differences)}\n`)
    if (imported.missing > 0) note(`${imported.missing} candidates had no score and came last`)
    note(`leak audit: ${verdict}`)
  },
}

/** The imported row against the best counting one, on the same tests. */
function against(rows: Awaited<ReturnType<typeof rankedRows>>, seed: number) {
  const imported = rows.filter(({ row }) => row.id === 'imported')
  return imported.flatMap((mine) => {
    const others = rows.filter(({ row }) => row.id !== 'imported' && row.masked === mine.row.masked)
    const best = others.sort((a, b) => b.row.ndcg5 - a.row.ndcg5)[0]
    if (!best) return []
    const sides = { a: { id: mine.row.id, mode: 'none' }, b: { id: best.row.id, mode: 'none' } } as const
    return pairedDifferences(mine.outcomes, best.outcomes, seed).map((one) => ({ ...one, ...sides }))
  })
}
