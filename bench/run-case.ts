/** One case: its measures against every peer that is there, its comparisons, its series. What breaks is noted and the rest goes on. */

import type {
  Absent,
  BenchCase,
  BenchRow,
  Ceilings,
  Comparison,
  Failed,
  Measure,
  Missing,
  Prepared,
  Series,
  SeriesResult,
  Size,
  Timing,
  VariantRow,
} from './contract.js'
import type { Lull } from './machine.js'
import { type Effort, exponentOf, type Goal, inTurn, interleaved, rowOf } from './measure.js'
import { Peer } from './peers.js'

export interface Setting extends Effort {
  readonly size: Size
  readonly threads: number
  readonly goals: Readonly<Record<string, Goal>>
  readonly lull: Lull
  readonly say: (text: string) => void
}

export interface Found {
  readonly rows: BenchRow[]
  readonly variants: VariantRow[]
  readonly series: SeriesResult[]
  readonly missing: Missing[]
  readonly absent: Absent[]
  readonly failed: Failed[]
}

export async function runCase(
  one: BenchCase,
  peers: readonly string[],
  ceilings: Ceilings,
  setting: Setting,
): Promise<Found> {
  const found: Found = { rows: [], variants: [], series: [], missing: [], absent: [], failed: [] }
  const failed = (id: string, peer: string | null, error: unknown): void => {
    const reason = error instanceof Error ? error.message : String(error)
    const got = (error as { got?: string }).got
    found.failed.push({ case: one.name, id, peer, reason: got ? `${reason}: ${got}` : reason })
    setting.say(`${id}${peer ? ` against ${peer}` : ''} failed: ${reason}${got ? `: ${got}` : ''}`)
  }
  let prepared: Prepared
  try {
    prepared = await one.prepare(setting.size, ceilings)
  } catch (error) {
    failed(one.name, null, error)
    return found
  }
  const started: Peer[] = []
  try {
    for (const name of peers) {
      const peer = await Peer.start(name, setting.threads)
      if ('missing' in peer) found.missing.push({ case: one.name, peer: name, reason: peer.missing })
      else
        await peer
          .ask({ prepare: prepared.input })
          .then(() => started.push(peer))
          .catch((error: unknown) => {
            peer.stop()
            failed(one.name, name, error)
          })
    }
    found.absent.push(...(prepared.absent ?? []))
    for (const measure of prepared.measures)
      for (const rival of rivalsOf(measure, started))
        await against(measure, rival, setting)
          .then((row) => found.rows.push(row))
          .catch((error: unknown) => failed(measure.id, rival?.file ?? null, error))
    for (const comparison of prepared.comparisons ?? [])
      await compared(comparison, setting)
        .then((rows) => found.variants.push(...rows))
        .catch((error: unknown) => failed(comparison.id, null, error))
    for (const series of prepared.series ?? [])
      await grown(series, setting)
        .then((result) => found.series.push(result))
        .catch((error: unknown) => failed(series.id, null, error))
  } finally {
    for (const peer of started) peer.stop()
    prepared.dispose()
  }
  return found
}

/** Ours alone where no peer can. */
function rivalsOf({ peers }: Measure, started: readonly Peer[]): readonly (Peer | null)[] {
  const able = started.filter(({ file }) => peers === undefined || peers.includes(file))
  return able.length > 0 ? able : [null]
}

async function against(measure: Measure, rival: Peer | null, setting: Setting): Promise<BenchRow> {
  const busy = !(await setting.lull.come())
  setting.say(`${measure.id}${rival ? ` against ${rival.title}` : ''}`)
  const theirs = rival && (() => rival.ask<Timing>({ measure: measure.id, ...measure.request(rival.file) }))
  const differs =
    rival && measure.disagreement
      ? await measure.disagreement((request) => rival.ask(request), rival.file)
      : null
  if (differs) setting.say(`${measure.id}: ${differs}`)
  const agree = rival && measure.disagreement ? differs === null : null
  // A process has its peak whenever it runs.
  const effort = measure.unit === 'GiB' ? { rounds: 1, limit: 0, warm: false } : setting
  const runs = await interleaved(() => measure.run(), theirs, effort)
  return rowOf(measure, runs, rival, goalOf(measure.id, setting), { busy, agree })
}

function goalOf(id: string, { goals }: Setting): Goal | undefined {
  return goals[id] ?? goals[id.split(' ')[0]!]
}

async function compared({ id, what, unit, variants }: Comparison, setting: Setting): Promise<VariantRow[]> {
  const busy = !(await setting.lull.come())
  setting.say(`${id}: ${variants.map(({ name }) => name).join(', ')}`)
  const sides = await inTurn(
    variants.map((variant) => () => variant.run()),
    setting,
  )
  const first = { title: variants[0]!.name, file: '' }
  const rows: VariantRow[] = []
  for (const [index, variant] of variants.entries()) {
    const runs = { ours: sides[index]!, peer: sides[0]! }
    const row = rowOf({ id, what, unit, roofline: variant.roofline }, runs, first, undefined, {
      busy,
      agree: null,
    })
    rows.push({ ...row, variant: variant.name, deviation: await variant.deviation() })
  }
  return rows
}

async function grown({ id, what, x, points }: Series, setting: Setting): Promise<SeriesResult> {
  await setting.lull.come()
  setting.say(`${id}: ${points.map((point) => point.x).join(', ')} ${x}`)
  const effort = { rounds: setting.rounds, limit: setting.limit / 2 }
  const found: SeriesResult['points'][number][] = []
  for (const point of points) {
    const [side] = await inTurn([() => point.run()], effort)
    const operations = Object.values(point.parts).reduce((sum, value) => sum + value, 0)
    const [most, largest] = Object.entries(point.parts).reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0])
    const share = operations > 0 ? largest / operations : 0
    found.push({ x: point.x, seconds: Math.min(...side!.times), most, share })
  }
  return {
    id,
    what,
    x,
    points: found,
    exponent: exponentOf(found),
    exponent_last: exponentOf(found.slice(-2)),
  }
}
