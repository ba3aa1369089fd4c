/** Chains drawn in plain text: one line per hop with rating and title, and the thought beside it. */

import type { DrawnChain } from '../methods/method.js'
import { shortened, terminalLine } from './terminal-text.js'

/** "u0 - i0 - u1 - i1 - u0"; an open chain ends in its last item. */
export function walkOf({ hops }: DrawnChain): string {
  const [first = '', ...more] = hops.map(({ hop }) => hop.split(' - '))
  return [...first, ...more.map((ends, index) => ends[index % 2] ?? '')].join(' - ')
}

/** Lines of one chain; `number` from 1. */
export function chainLines(chain: DrawnChain, number: number): string[] {
  const { closed, hops } = chain
  const width = Math.min(40, Math.max(...hops.map(({ title }) => terminalLine(title).length)))
  return [
    `chain ${number}, ${closed ? 'closed' : 'open'}: ${walkOf(chain)}`,
    ...hops.map(({ hop, title, rating, thought }) => {
      const shown = shortened(terminalLine(title), 40).padEnd(width)
      const said = thought === null ? '' : `  ${shortened(terminalLine(thought), 160)}`
      return `  ${hop}  ${rating ?? '?'}  ${shown}${said}`.trimEnd()
    }),
  ]
}
