/**
 * The house has one direction of dependency: imports (src) and includes (native) go down the diagram of
 * CONTRIBUTING and native/README.md. A folder may use its own files and folders of a lower rank.
 */

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Folders of native/, low to high; one line is one rank, and folders of a rank may use each other. */
const nativeRanks = [
  ['core'],
  ['graph'],
  ['backend'],
  ['ops'],
  ['model'],
  ['decode', 'train', 'rl', 'sasrec'],
  ['binding'],
]

/**
 * Folders of src/, low to high. Single files named here are contracts that a lower rank may read: what a
 * method must supply, the records of a run that the report shows, and how files survive a crash.
 */
const srcRanks = [
  ['engine'],
  ['phases/run/files.ts', 'phases/run/lock.ts'],
  ['export', 'hub'],
  ['prompts'],
  ['data'],
  ['quickstart/catalogue-words.ts', 'quickstart/world.ts', 'quickstart/dataset.ts', 'quickstart/embedded.ts'],
  ['config', 'rewards', 'eval'],
  ['methods/method.ts', 'teacher', 'judge', 'serve'],
  ['phases/run/run-record.ts', 'phases/run/progress.ts'],
  ['report'],
  ['phases'],
  ['board'],
  ['methods'],
  ['quickstart'],
  ['index.ts'],
  ['cli'],
]

/** Folders of src/phases/, low to high: the order of the papers, above what every phase needs. */
const phaseRanks = [
  ['run'],
  ['prediction', 'training'],
  ['collection'],
  ['imitation'],
  ['internalization'],
  ['evaluation'],
  ['pipeline.ts'],
]

function rankOf(file: string, ranks: readonly (readonly string[])[]): number {
  const exact = ranks.findIndex((names) => names.includes(file))
  return exact >= 0 ? exact : ranks.findIndex((names) => names.includes(file.split('/')[0]!))
}

function files(folder: string, pattern: RegExp): string[] {
  const names = readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
  return names
    .map((name) => name.split(path.sep).join('/'))
    .filter((name) => pattern.test(name))
    .sort()
}

interface Edge {
  readonly from: string
  readonly to: string
}

function imports(): Edge[] {
  return files('src', /(?<!\.d)\.m?[tj]s$/).flatMap((from) => {
    const text = readFileSync(path.join(root, 'src', from), 'utf8')
    const targets = [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)['"](\.{1,2}\/[^'"]+)['"]/g)].map(
      (match) => match[1]!,
    )
    return targets.map((target) => ({
      from,
      to: path.posix.normalize(path.posix.join(path.posix.dirname(from), target)).replace(/\.js$/, '.ts'),
    }))
  })
}

function includes(): Edge[] {
  return files('native', /\.(h|cpp|inl|cu|cuh)$/).flatMap((from) => {
    const text = readFileSync(path.join(root, 'native', from), 'utf8')
    return [...text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map((match) => ({ from, to: match[1]! }))
  })
}

/** Edges that leave the ranks, or go up them. */
function upward(edges: readonly Edge[], ranks: readonly (readonly string[])[]): string[] {
  return edges
    .filter(({ from, to }) => {
      if (from.split('/')[0] === to.split('/')[0] && from.includes('/')) return false
      const [lower, upper] = [rankOf(to, ranks), rankOf(from, ranks)]
      return lower < 0 || upper < 0 || lower > upper
    })
    .map(({ from, to }) => `${from} -> ${to}`)
}

describe('layering', () => {
  it('imports of src go down', () => {
    const edges = imports()
    expect(edges.length).toBeGreaterThan(50)
    expect(upward(edges, srcRanks)).toEqual([])
  })

  it('imports between the phases go down', () => {
    const inside = (name: string): boolean => name.startsWith('phases/')
    const edges = imports()
      .filter(({ from, to }) => inside(from) && inside(to))
      .map(({ from, to }) => ({ from: from.slice('phases/'.length), to: to.slice('phases/'.length) }))
    expect(edges.length).toBeGreaterThan(50)
    expect(upward(edges, phaseRanks)).toEqual([])
  })

  it('includes of native go down', () => {
    const edges = includes().filter(({ to }) => to.includes('/'))
    expect(edges.length).toBeGreaterThan(50)
    expect(upward(edges, nativeRanks)).toEqual([])
  })

  it('sees an edge that goes up', () => {
    expect(upward([{ from: 'data/split.ts', to: 'phases/collection/collect.ts' }], srcRanks)).toHaveLength(1)
    expect(
      upward([{ from: 'phases/collection/collect.ts', to: 'methods/re2/index.ts' }], srcRanks),
    ).toHaveLength(1)
    expect(
      upward([{ from: 'phases/collection/collect.ts', to: 'methods/method.ts' }], srcRanks),
    ).toHaveLength(0)
    expect(upward([{ from: 'ops/rope.h', to: 'model/weights.h' }], nativeRanks)).toHaveLength(1)
    expect(upward([{ from: 'train/trainer.h', to: 'somewhere/else.h' }], nativeRanks)).toHaveLength(1)
  })

  it('keeps the top level to the entries that have a reason', () => {
    const named =
      /^(package(-lock)?\.json|tsconfig\.json|biome\.json|vitest\.config\.ts|CMakeLists\.txt|binding\.gyp|README\.md|LICENSE|CHANGELOG\.md|CONTRIBUTING\.md|native|src|test|bench|docs|\..+)$/
    const produced = /^(node_modules|build|dist|runs|tutorial|coverage|.*\.log|.*\.tmp|build-tmp-.*)$/
    expect(readdirSync(root).filter((name) => !named.test(name) && !produced.test(name))).toEqual([])
  })
})
