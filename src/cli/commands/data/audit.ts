/**
 * data audit: can the answer be had without reading the history? Probes, findings and how to mend them; exit
 * status 4 where there is a leak, 0 else.
 */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { ReasonrecError } from '../../../engine/index.js'
import { type Audit, auditOf } from '../../../eval/audit/audit.js'
import { openRankingData } from '../../../methods/session.js'
import { terminalLine } from '../../../report/terminal-text.js'
import { type CommonArguments, commonOptions, configOf } from '../../options.js'
import { printJson } from '../../running.js'

interface AuditArguments extends CommonArguments {
  readonly path: string
}

export const auditCommand: CommandModule<object, AuditArguments> = {
  command: 'audit <path>',
  describe: 'Can the answer be had without reading the history? Exit status 4 where it can',
  builder: (parser) =>
    commonOptions(parser)
      .positional('path', { type: 'string', demandOption: true, describe: 'Folder of a data set' })
      .example('$0 data audit DIR', 'published lists where there are some, else drawn ones')
      .example('$0 data audit DIR --set data.published=redraw', 'the same tests with lists of our own'),
  handler: async (args: ArgumentsCamelCase<AuditArguments>) => {
    const dataset = await openRankingData(configOf({ ...args, data: args.path }).config)
    const audit = auditOf(dataset)
    if (args.json) printJson({ schema: 1, dataset: dataset.name, ...audit })
    else print(dataset.name, audit)
    const [worst] = audit.findings
    if (audit.verdict === 'leak' && worst)
      throw new ReasonrecError('RR_DATA_LEAK', `${dataset.name}: ${worst.what}`, {
        expected: 'an answer that needs the history',
        got: `${audit.findings.filter(({ level }) => level === 'leak').length} leaks`,
        remedy: worst.mend,
      })
  },
}

const four = (value: number): string => value.toFixed(4)

function print(name: string, { verdict, parts, probes, findings }: Audit): void {
  const line = (text: string, indent = ''): void =>
    void process.stdout.write(`${indent}${terminalLine(text)}\n`)
  const lists = parts.map(({ part, source, lists: count }) => `${part}: ${count} ${source} lists`)
  line(`${name}: ${verdict}; ${lists.join(', ') || 'no lists'}`)
  for (const { part, id, hr1, hr5, ndcg5, mrr, se, chance } of probes)
    line(
      `${part.padEnd(5)} ${id.padEnd(21)} HR@1 ${four(hr1)} ± ${four(se)} (guessing ${four(chance)})  HR@5 ${four(hr5)}  NDCG@5 ${four(ndcg5)}  MRR ${four(mrr)}`,
      '  ',
    )
  for (const { level, part, what, here, mend } of findings) {
    line(`${level}${part ? `, ${part}` : ''}: ${what}`)
    line(`here: ${here}`, '  ')
    line(`mend: ${mend}`, '  ')
  }
}
