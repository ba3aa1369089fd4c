/**
 * Results on disk: one file per case, written as soon as the case is done, so that a case that breaks loses no other,
 * and a run that is stopped goes on where it was.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type {
  Absent,
  BenchRow,
  Ceilings,
  Failed,
  Missing,
  SeriesResult,
  Size,
  VariantRow,
} from './contract.js'
import type { Machine } from './machine.js'

export interface CaseResult {
  readonly schema: 1
  readonly case: string
  readonly size: Size
  readonly command: string
  /** How products with bf16 weights were computed. */
  readonly products: 'fp32' | 'bf16'
  readonly machine: Machine
  /** Measured right before the case. */
  readonly ceilings: Ceilings
  /** Of the whole case. */
  readonly seconds: number
  readonly rows: readonly BenchRow[]
  readonly variants: readonly VariantRow[]
  readonly series: readonly SeriesResult[]
  readonly missing: readonly Missing[]
  readonly absent: readonly Absent[]
  readonly failed: readonly Failed[]
}

export function writeCase(folder: string, result: CaseResult): void {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${result.case}.json`)
  writeFileSync(`${file}.tmp`, `${JSON.stringify(result, null, 2)}\n`)
  renameSync(`${file}.tmp`, file)
}

export function readCase(folder: string, name: string): CaseResult | null {
  const file = join(folder, `${name}.json`)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as CaseResult) : null
}

export function readCases(folder: string): readonly CaseResult[] {
  if (!existsSync(folder)) return []
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'))
  return names.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as CaseResult)
}

/** A finished case of the same commit and size need not be measured again; a broken one is. */
export function isDone(found: CaseResult | null, size: Size, commit: string | null): found is CaseResult {
  return found !== null && found.size === size && found.machine.commit === commit && found.failed.length === 0
}
