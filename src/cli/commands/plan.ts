/** `plan`: what a run will ask of its teacher, before anything is paid: requests, tokens, cost, time. */

import Table from 'cli-table3'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { collectionPlan } from '../../methods/registry.js'
import { openDataset } from '../../methods/session.js'
import type { Range, TeacherPlan } from '../../teacher/openai/plan.js'
import { configOf, type RunArguments, runOptions } from '../options.js'
import { printJson } from '../running.js'

export const planCommand: CommandModule<object, RunArguments> = {
  command: 'plan',
  describe: 'What a run will ask of its teacher: requests, tokens, cost, time',
  builder: (parser) => runOptions(parser),
  handler: async (args: ArgumentsCamelCase<RunArguments>) => {
    const { config, hash } = configOf({ ...args, preset: args.preset ?? 're2' })
    const teacher =
      config.teacher.kind === 'openai' ? collectionPlan(config, await openDataset(config)) : null
    if (args.json) printJson({ schema: 1, config_hash: hash, teacher })
    else if (teacher) process.stdout.write(rendered(teacher))
    else process.stdout.write(`teacher  ${config.teacher.kind}: no server is asked, nothing is paid\n`)
  },
}

function rendered(plan: TeacherPlan): string {
  const table = new Table({
    head: ['', 'at least', 'at most'],
    colAligns: ['left', 'right', 'right'],
    style: { head: [], border: [] },
  })
  const row = (name: string, { least, most }: Range, digits = 0): void => {
    table.push([name, least.toFixed(digits), most.toFixed(digits)])
  }
  row('requests', plan.requests)
  row('prompt tokens, about', plan.prompt_tokens)
  row('answer tokens', plan.completion_tokens)
  if (plan.cost.most > 0) row('cost', plan.cost, 2)
  row('minutes', { least: plan.seconds.least / 60, most: plan.seconds.most / 60 }, 1)
  const parts = plan.parts.map(
    ({ what, requests, conditional }) => `  ${conditional ? 'up to ' : ''}${requests} requests: ${what}`,
  )
  return [
    `teacher  ${plan.model}`,
    ...parts,
    table.toString(),
    ...capNote(plan),
    'failed attempts come on top; what the ledger already holds is not asked again',
    '',
  ].join('\n')
}

function capNote({ cost, max_cost: cap }: TeacherPlan): string[] {
  if (cap === null)
    return cost.most > 0
      ? ['no cap: teacher.max_cost is null']
      : ['no prices: set teacher.price_in and teacher.price_out']
  return cost.most > cap ? [`the run may stop at its cap, teacher.max_cost ${cap}`] : [`cap: ${cap}`]
}
