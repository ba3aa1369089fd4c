/**
 * G10: traces that say what many others say. Per instance, an equal reasoning is dropped. Across the data, a reasoning
 * whose set of 5-grams resembles those of more than `limit` earlier traces (estimated Jaccard at least 0.8) is
 * boilerplate. MinHash with 32 hash functions; candidates by bands of 4 rows (8 bands), so cost stays linear.
 */

import { words } from '../../data/title.js'
import type { GateResult } from '../method.js'

const hashes = 32
const rowsPerBand = 4
const similar = 0.8

export class BoilerplateFilter {
  private readonly limit: number
  private readonly signatures: Uint32Array[] = []
  private readonly bands = new Map<string, number[]>()
  private readonly seen = new Map<string, Set<string>>()

  constructor(limit = 20) {
    this.limit = limit
  }

  /** Judges a reasoning against those admitted before, and admits it if it passes. Order matters: keep it fixed. */
  admit(instance: string, reasoning: string): GateResult {
    const spoken = words(reasoning)
    const text = spoken.join(' ')
    const own = this.seen.get(instance) ?? new Set<string>()
    if (own.has(text)) return { gate: 'G10', passed: false, value: 'twice for one instance' }
    const signature = minHash(spoken)
    const keys = bandKeys(signature)
    const rivals = new Set(keys.flatMap((key) => this.bands.get(key) ?? []))
    const matches = [...rivals].filter(
      (rival) => agreement(signature, this.signatures[rival]!) >= similar,
    ).length
    if (matches > this.limit) return { gate: 'G10', passed: false, value: matches }
    this.seen.set(instance, own.add(text))
    const index = this.signatures.push(signature) - 1
    for (const key of keys) this.bands.set(key, [...(this.bands.get(key) ?? []), index])
    return { gate: 'G10', passed: true, value: matches }
  }
}

function minHash(spoken: readonly string[]): Uint32Array {
  const signature = new Uint32Array(hashes).fill(0xffffffff)
  const grams = Math.max(1, spoken.length - 4)
  for (let start = 0; start < grams; start++) {
    const base = fnv1a(spoken.slice(start, start + 5).join(' '))
    for (let k = 0; k < hashes; k++) {
      const value = mixed(base ^ Math.imul(k + 1, 0x9e3779b1))
      if (value < signature[k]!) signature[k] = value
    }
  }
  return signature
}

function bandKeys(signature: Uint32Array): string[] {
  return Array.from({ length: hashes / rowsPerBand }, (_, band) => {
    const start = band * rowsPerBand
    return `${band}:${signature.slice(start, start + rowsPerBand).join(',')}`
  })
}

function agreement(a: Uint32Array, b: Uint32Array): number {
  return a.reduce((equal, value, k) => equal + (value === b[k] ? 1 : 0), 0) / hashes
}

/** 32-bit FNV-1a over UTF-16 units. */
function fnv1a(text: string): number {
  let value = 0x811c9dc5
  for (let k = 0; k < text.length; k++) value = Math.imul(value ^ text.charCodeAt(k), 0x01000193)
  return value >>> 0
}

/** Finaliser of MurmurHash3. */
function mixed(value: number): number {
  let x = value
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
