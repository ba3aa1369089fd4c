/**
 * Candidate protocols by name (spec 7.3): what a test ranks its target among.
 *
 *   Cn      the target and n - 1 negatives drawn uniformly (C20, C100; C101 is the target and 100 negatives)
 *   Cnpop   the same number drawn in proportion to training counts: needed for any claim about popularity
 *   full    every item that occurs in the data; training lists are C20
 */

import { ReasonrecError } from '../engine/errors.js'

export const protocolPattern = /^(C[1-9]\d{0,3}(pop)?|full)$/

export interface CandidateProtocol {
  readonly name: string
  /** Length of a drawn list, the target included; training draws such lists under `full` too. */
  readonly size: number
  /** Negatives in proportion to their training counts. */
  readonly popular: boolean
  /** Validation and test rank the whole catalogue. */
  readonly full: boolean
}

const trainingSizeOfFull = 20

export function candidateProtocol(name: string): CandidateProtocol {
  if (!protocolPattern.test(name))
    throw new ReasonrecError('RR_CONFIG_VALUE', `there is no candidate protocol ${name.slice(0, 40)}`, {
      expected: 'C20, C20pop, C100 (C and a length, pop behind it for popular negatives) or full',
      got: name.slice(0, 40),
      remedy: 'correct data.candidates',
    })
  if (name === 'full') return { name, size: trainingSizeOfFull, popular: false, full: true }
  const popular = name.endsWith('pop')
  return { name, size: Number.parseInt(name.slice(1), 10), popular, full: false }
}
