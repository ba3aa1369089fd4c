/** What a teacher behind a server was asked, and what it cost: a table in the section of Collection. */

import type { CollectSummary } from '../phases/run/run-record.js'
import { count, quantity } from './numbers.js'
import type { Block } from './story-blocks.js'

export function teacherBlocks({ teacher }: Pick<CollectSummary, 'teacher'>): Block[] {
  if (!teacher) return []
  const failures = Object.entries(teacher.failures).map(([cause, number]) => `${count(number)} ${cause}`)
  const priced = teacher.cost > 0
  return [
    {
      kind: 'table',
      caption: `The teacher ${teacher.model}, over the life of its ledger${teacher.replay ? ' (this run only replayed it)' : ''}`,
      head: ['', 'Value'],
      numeric: [false, true],
      rows: [
        ['Requests answered', count(teacher.answered)],
        ['Attempts', count(teacher.attempts)],
        ['Prompt tokens', count(teacher.prompt_tokens)],
        ['Answer tokens, reasoning included', count(teacher.completion_tokens)],
        ['Hidden reasoning tokens', count(teacher.reasoning_tokens)],
        ['Cost', priced ? quantity(teacher.cost) : 'no prices given'],
        ...(teacher.uncertain_cost > 0
          ? [['Of it taken at its worst, the server having given no count', quantity(teacher.uncertain_cost)]]
          : []),
      ],
    },
    ...(failures.length > 0
      ? [{ kind: 'text' as const, text: `Attempts that failed: ${failures.join(', ')}.` }]
      : []),
  ]
}
