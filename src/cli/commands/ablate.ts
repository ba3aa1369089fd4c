/**
 * ablate: runs or resumes the rows of a method's grid (src/methods/<method>/ablations.yaml) and prints one table. Every
 * run is an ordinary run directory OUT/<row>/seed-<seed>; rows that read another row's run share it. A second call
 * goes on where the first stopped and runs nothing twice.
 */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Table from 'cli-table3'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import type { LoadedConfig } from '../../config/load.js'
import { ReasonrecError } from '../../engine/index.js'
import { type Ablation, type AblationRow, ablationRow, chosenAblations } from '../../methods/ablation.js'
import { ablationsOf } from '../../methods/registry.js'
import { createRun, openRun } from '../../methods/session.js'
import { requireSameConfig } from '../../methods/training-run.js'
import { summaryFile } from '../../phases/evaluation/summary.js'
import { allPhases } from '../../phases/pipeline.js'
import { isRunDirectory } from '../../phases/run/run-directory.js'
import type { RunSummary } from '../../phases/run/run-record.js'
import { configOf, type RunArguments, requireOut, runOptions } from '../options.js'
import { note, printJson, runWith } from '../running.js'

interface AblateArguments extends RunArguments {
  readonly rows: string
  readonly seeds: string
}

export const ablateCommand: CommandModule<object, AblateArguments> = {
  command: 'ablate',
  describe: "Run rows of the method's grid of ablations and print their table",
  builder: (parser) =>
    runOptions(parser)
      .option('rows', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'Row ids separated by commas, or all',
      })
      .option('seeds', {
        type: 'string',
        requiresArg: true,
        default: '0',
        describe: 'Seeds separated by commas',
      })
      .example('$0 ablate --preset r2rec-quickstart --rows full,no_rl,no_chains --seeds 0,1 --out DIR', ''),
  handler: async (args: ArgumentsCamelCase<AblateArguments>) => {
    const out = requireOut(args.out)
    const seeds = seedsOf(args.seeds)
    const plain = configOf({ ...args, preset: args.preset ?? 're2' })
    const grid = ablationsOf(plain.config)
    const names =
      args.rows === 'all' ? grid.map(({ id }) => id) : args.rows.split(',').map((name) => name.trim())
    const chosen = chosenAblations(grid, names)
    const runs = new Map<string, Finished[]>()
    for (const name of new Set(chosen.map(({ run }) => run)))
      runs.set(name, await runSeeds(grid.find(({ id }) => id === name) as Ablation, seeds, out, args))
    const rows = chosen.map((row) => ablationRow(row, runs.get(row.run) ?? []))
    if (args.json) printJson({ schema: 1, rows })
    else process.stdout.write(`${rendered(rows)}\n`)
  },
}

interface Finished {
  readonly seed: number
  readonly summary: RunSummary
  readonly evalMode: string
}

async function runSeeds(
  { id, set }: Ablation,
  seeds: readonly number[],
  out: string,
  args: AblateArguments,
): Promise<Finished[]> {
  const finished: Finished[] = []
  for (const seed of seeds) {
    // The row's own keys come last: they are what it is about.
    const loaded = configOf({
      ...args,
      preset: args.preset ?? 're2',
      seed,
      set: [...(args.set ?? []), ...set],
    })
    const folder = join(out, id, `seed-${seed}`)
    note(`${id}, seed ${seed}: ${folder}`)
    const summary = await finishedRun(loaded, folder)
    finished.push({ seed, summary, evalMode: loaded.config.eval.mode })
  }
  return finished
}

/** The summary of the run in `folder`, which is made, gone on with, or read. */
async function finishedRun(loaded: LoadedConfig, folder: string): Promise<RunSummary> {
  const there = isRunDirectory(folder)
  if (there) {
    requireSameConfig(folder, loaded.hash)
    const file = join(folder, summaryFile)
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as RunSummary
  }
  let summary: RunSummary | null = null
  await runWith(
    (watcher) => (there ? openRun(folder, watcher) : createRun(loaded, folder, allPhases, watcher)),
    (done) => {
      summary = done
    },
  )
  if (summary) return summary
  throw new ReasonrecError('RR_OUTPUT_UNFINISHED', `${folder} has no evaluation in its plan`, {
    expected: 'a run of all phases',
    remedy: 'choose another --out',
  })
}

function seedsOf(text: string): number[] {
  const seeds = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0)) return [...new Set(seeds)]
  throw new ReasonrecError('RR_USAGE_SEEDS', '--seeds is not a list of seeds', {
    expected: 'numbers such as 0,1,2',
    got: text.slice(0, 80),
    remedy: 'separate them with commas',
  })
}

function rendered(rows: readonly AblationRow[]): string {
  const table = new Table({
    head: ['row', 'n', 'HR@1', '95 %', 'by seed', 'what'],
    style: { head: [], border: [], compact: true },
  })
  const figure = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(4))
  for (const { id, n, hr1, lo95, hi95, hr1_by_seed, what } of rows)
    table.push([
      id,
      String(n),
      figure(hr1),
      `${figure(lo95.hr1)} to ${figure(hi95.hr1)}`,
      hr1_by_seed.map(figure).join(' '),
      what,
    ])
  return table.toString()
}
