/**
 * The leak audit: can the answer be had without reading the history? Probes of the lists that come with the data
 * (or were drawn here), of ids, titles and times; a verdict that every report carries. Pure: nothing is written,
 * nothing is drawn from a seed. Computed once per dataset.
 */

import type { Dataset, Part } from '../../data/types.js'
import {
  countFindings,
  dependenceFinding,
  type Finding,
  type ListCounts,
  probeFindings,
  reproductionFinding,
  type TimeCounts,
  timeFindings,
  worstFirst,
} from './findings.js'
import { type AuditedPart, auditedPart, type Codes, codesOf, trainingWindows } from './lists.js'
import { listMemory, reproduce, type TargetDependence, targetDependence } from './memory.js'
import {
  containedTitles,
  doubledTitles,
  idProbes,
  type Probe,
  popularityProbes,
  seldomNegative,
  targetPlace,
  titleInHistory,
} from './probes.js'

export type Verdict = 'clean' | 'warn' | 'leak'

export interface Audit {
  readonly verdict: Verdict
  /** Worst first. */
  readonly findings: readonly Finding[]
  readonly probes: readonly Probe[]
  readonly parts: readonly {
    readonly part: Part
    readonly source: AuditedPart['source']
    readonly lists: number
  }[]
  readonly dependence: TargetDependence | null
}

const audits = new WeakMap<Dataset, Audit>()

export function auditOf(dataset: Dataset): Audit {
  const known = audits.get(dataset)
  if (known) return known
  const made = audited(dataset)
  audits.set(dataset, made)
  return made
}

/** The level of the worst; notes alone are clean. `findings`: worst first. */
export function verdictOf([worst]: readonly Finding[]): Verdict {
  return worst && worst.level !== 'note' ? worst.level : 'clean'
}

function audited(dataset: Dataset): Audit {
  const codes = codesOf(dataset)
  const found = (['train', 'valid', 'test'] as const).flatMap(
    (part) => auditedPart(dataset, part, codes) ?? [],
  )
  // Lists of one maker are compared with each other: published with published.
  const sources = (['published', 'drawn'] as const).map((source) =>
    found.filter((part) => part.source === source),
  )
  const dependences = sources.map((parts) => ({ parts, found: targetDependence(parts) }))
  const judged = found.filter(({ part }) => part !== 'train').map((part) => ({ part, ...judge(part) }))

  function judge(part: AuditedPart): { probes: Probe[]; findings: Finding[] } {
    const reproduction = reproduce(part, codes, trainingWindows(dataset, codes))
    const same = found.filter(({ source }) => source === part.source)
    const probes = [
      ...(part.slotted ? [targetPlace(part)] : []),
      ...idProbes(part, codes),
      ...listMemory(part, same),
      ...(reproduction?.probes ?? []),
      ...popularityProbes(part, codes),
      seldomNegative(part),
      titleInHistory(part, dataset, codes),
    ]
    return {
      probes,
      findings: [
        ...reproductionFinding(reproduction, part.part),
        ...probeFindings(probes, part),
        ...countFindings(listCounts(part, dataset, codes), part.part),
      ],
    }
  }

  const findings = worstFirst([
    ...dependences.flatMap(({ parts, found: dependence }) => dependenceFinding(dependence, parts)),
    ...judged.flatMap((one) => one.findings),
    ...timeFindings(timeCounts(dataset)),
  ])
  return {
    verdict: verdictOf(findings),
    findings,
    probes: judged.flatMap(({ probes }) => probes),
    parts: found.map(({ part, source, lists }) => ({ part, source, lists: lists.length })),
    dependence: dependences.find(({ found: one }) => one !== null)?.found ?? null,
  }
}

function listCounts(part: AuditedPart, dataset: Dataset, codes: Codes): ListCounts {
  const own = new Map<string, ReadonlySet<number>>()
  const ofUser = (user: string): ReadonlySet<number> => {
    let items = own.get(user)
    if (!items) {
      items = new Set(dataset.userItems?.get(user) ?? [])
      own.set(user, items)
    }
    return items
  }
  const item = (code: number): number => codes.index[code] as number
  const count = (holds: (list: AuditedPart['lists'][number]) => boolean): number =>
    part.lists.filter(holds).length
  return {
    lists: part.lists.length,
    ownNegatives: count(({ user, candidates, target }) =>
      candidates.some((code) => item(code) !== item(target) && ofUser(user).has(item(code))),
    ),
    targetShown: count(({ history, target }) => history.some((code) => item(code) === item(target))),
    untrained: count(({ target }) => codes.counts[target] === 0),
    doubledTitles: doubledTitles(part, codes),
    containedTitles: containedTitles(part, dataset, codes),
  }
}

function timeCounts(dataset: Dataset): TimeCounts {
  const counts = { neighbours: 0, tied: 0, rising: 0 }
  const numeric = dataset.items.every(({ id }) => /^\d{1,15}$/.test(id))
  const id = (index: number): number => Number(dataset.items[index]?.id)
  for (const sequence of dataset.userInteractions?.values() ?? [])
    for (let place = 1; place < sequence.length; place++) {
      const [before, after] = [sequence[place - 1]!, sequence[place]!]
      counts.neighbours++
      if (before.timestamp !== after.timestamp) continue
      counts.tied++
      if (numeric && id(before.item) < id(after.item)) counts.rising++
    }
  const tiedTargets = dataset.test.filter(({ user, position }) => {
    const own = dataset.userInteractions?.get(user)
    if (!own || position === null || position === undefined || position === 0) return false
    return own[position]?.timestamp === own[position - 1]?.timestamp
  }).length
  return {
    neighbours: counts.neighbours,
    tied: counts.tied,
    rising: numeric ? counts.rising : null,
    tiedTargets,
    tests: dataset.test.length,
  }
}
