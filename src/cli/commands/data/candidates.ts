/**
 * data candidates: the lists of validation and test as files, one for each candidate seed, so that every method,
 * here (data.cand_file) or elsewhere, answers the same ones.
 */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { candidateLines } from '../../../data/candidate-file.js'
import { withCandidateSeed } from '../../../data/candidates.js'
import type { Dataset, Instance } from '../../../data/types.js'
import { ReasonrecError } from '../../../engine/index.js'
import { openRankingData } from '../../../methods/session.js'
import { terminalLine } from '../../../report/terminal-text.js'
import { type CommonArguments, commonOptions, configOf, requireOut } from '../../options.js'
import { printJson } from '../../running.js'
import { writeLines } from './write-lines.js'

interface CandidatesArguments extends CommonArguments {
  readonly path: string
  readonly seeds: readonly number[]
}

export const candidatesCommand: CommandModule<object, CandidatesArguments> = {
  command: 'candidates <path>',
  describe: 'Write the candidate lists of validation and test, one file for each seed',
  builder: (parser) =>
    commonOptions(parser)
      .positional('path', { type: 'string', demandOption: true, describe: 'Folder of a data set' })
      .option('seeds', {
        type: 'string',
        requiresArg: true,
        default: '0,1,2',
        describe: 'Candidate seeds, separated by commas',
        coerce: seedsOf,
      })
      .example('$0 data candidates DIR --set data.candidates=C20pop --out lists', ''),
  handler: async (args: ArgumentsCamelCase<CandidatesArguments>) => {
    const folder = requireOut(args.out)
    const { config } = configOf({ ...args, data: args.path })
    const dataset = await openRankingData(config)
    if (dataset.fullRanking)
      throw new ReasonrecError('RR_CONFIG_VALUE', 'full has no lists to write', {
        expected: 'a protocol with lists, such as C20 or C100',
        got: 'full',
        remedy: 'choose another data.candidates',
      })
    mkdirSync(folder, { recursive: true })
    const files = []
    for (const seed of args.seeds) {
      const file = join(folder, `${config.data.candidates}-seed${seed}.jsonl.gz`)
      const parts = { valid: listsOf(dataset, 'valid', seed), test: listsOf(dataset, 'test', seed) }
      await writeLines(file, candidateLines(dataset, parts, config.data.candidates, seed))
      files.push({ seed, file, valid: parts.valid.length, test: parts.test.length })
    }
    const fixed = dataset.fixedLists ?? []
    if (args.json) return printJson({ schema: 1, dataset: dataset.name, fixed, files })
    for (const { file, valid, test } of files)
      process.stdout.write(`${terminalLine(`${file}: ${valid} valid and ${test} test lists`)}\n`)
    if (fixed.length > 0)
      process.stdout.write(
        `lists of ${fixed.join(' and ')} came with the data and are the same for every seed (data.published=redraw draws them)\n`,
      )
  },
}

const listsOf = (dataset: Dataset, part: 'valid' | 'test', seed: number): readonly Instance[] =>
  withCandidateSeed(dataset, part, seed) ?? dataset[part]

function seedsOf(given: string): number[] {
  const seeds = given.split(',').map((text) => (/^\s*\d{1,9}\s*$/.test(text) ? Number(text) : Number.NaN))
  if (!seeds.some(Number.isNaN)) return [...new Set(seeds)]
  throw new ReasonrecError('RR_USAGE_NUMBER', '--seeds are whole numbers separated by commas', {
    expected: '0,1,2',
    got: given.slice(0, 40),
    remedy: 'give --seeds 0,1,2',
  })
}
