/**
 * Names of models on a hub, and where they lie in the cache that the Hugging Face libraries share:
 *   <cache>/models--ORG--NAME/refs/<revision>           text: a commit
 *                             snapshots/<commit>/<file> link into blobs
 *                             blobs/<etag>              SHA-256 of large files, git's blob id of others
 * <cache> is HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub.
 */

import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'
import { getHFHubCachePath, getRepoFolderName } from '@huggingface/hub'
import { ReasonrecError } from '../engine/index.js'

export interface Repository {
  /** ORG/NAME. */
  readonly name: string
  readonly revision: string
}

export interface CachedModel {
  readonly name: string
  readonly revision: string
  readonly commit: string
  readonly dir: string
  /** Of its files, links followed. */
  readonly bytes: number
}

const pattern = /^([A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95})(?:@([\w][\w./-]{0,199}))?$/
const commitPattern = /^[0-9a-f]{40}$/

/** Null where the text is no ORG/NAME or ORG/NAME@REVISION. */
export function parseRepository(text: string): Repository | null {
  const [, name, revision = 'main'] = pattern.exec(text) ?? []
  if (name === undefined || `${name}/${revision}`.includes('..') || name.includes('--')) return null
  return { name, revision }
}

/** @throws RR_USAGE_MODEL_NAME */
export function requireRepository(text: string): Repository {
  const found = parseRepository(text)
  if (found) return found
  throw new ReasonrecError('RR_USAGE_MODEL_NAME', 'this is no name of a model on a hub', {
    expected: 'ORG/NAME or ORG/NAME@REVISION',
    got: JSON.stringify(text.slice(0, 100)),
  })
}

export function isCommit(text: string): boolean {
  return commitPattern.test(text)
}

export function cacheFolder(): string {
  return getHFHubCachePath()
}

export function repositoryFolder(name: string, cache = cacheFolder()): string {
  return path.join(cache, getRepoFolderName({ name, type: 'model' }))
}

/** The snapshot of a revision; null where the cache has none. */
export function cachedSnapshot({ name, revision }: Repository, cache = cacheFolder()): string | null {
  const folder = repositoryFolder(name, cache)
  const ref = path.join(folder, 'refs', revision)
  const commit = isCommit(revision) ? revision : existsSync(ref) ? readFileSync(ref, 'utf8').trim() : ''
  if (!isCommit(commit)) return null
  const dir = path.join(folder, 'snapshots', commit)
  return statSync(dir, { throwIfNoEntry: false })?.isDirectory() ? dir : null
}

/**
 * The folder that a --model means: a folder of that name, else the cached snapshot of ORG/NAME[@REVISION]. A text
 * that can be neither is returned as it is, for the one who opens it to refuse.
 * @throws RR_MODEL_NOT_CACHED
 */
export function modelFolder(text: string, cache = cacheFolder()): string {
  if (existsSync(text)) return path.resolve(text)
  const repository = parseRepository(text)
  if (!repository) return path.resolve(text)
  const snapshot = cachedSnapshot(repository, cache)
  if (snapshot) return snapshot
  throw new ReasonrecError(
    'RR_MODEL_NOT_CACHED',
    `${text} is neither a folder here nor a model in the cache`,
    {
      expected: `a folder ${text}, or the model in ${cache}`,
      remedy: `run reasonrec model pull ${text}`,
    },
  )
}

/** Every snapshot with a config.json, by name. */
export function cachedModels(cache = cacheFolder()): CachedModel[] {
  const found: CachedModel[] = []
  for (const folder of entries(cache)) {
    const [, name] = /^models--(.+)$/.exec(folder) ?? []
    if (name === undefined) continue
    const refs = refsOf(path.join(cache, folder, 'refs'))
    for (const commit of entries(path.join(cache, folder, 'snapshots')).filter(isCommit)) {
      const dir = path.join(cache, folder, 'snapshots', commit)
      if (!existsSync(path.join(dir, 'config.json'))) continue
      const bytes = entries(dir).reduce((sum, file) => sum + sizeOf(path.join(dir, file)), 0)
      found.push({ name: name.replace('--', '/'), revision: refs.get(commit) ?? commit, commit, dir, bytes })
    }
  }
  return found.sort(
    (a, b) => a.name.localeCompare(b.name, 'en') || a.revision.localeCompare(b.revision, 'en'),
  )
}

function refsOf(folder: string): ReadonlyMap<string, string> {
  const refs = new Map<string, string>()
  for (const name of existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : []) {
    const file = path.join(folder, name)
    if (statSync(file, { throwIfNoEntry: false })?.isFile()) refs.set(readFileSync(file, 'utf8').trim(), name)
  }
  return refs
}

function entries(folder: string): string[] {
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder).sort() : []
}

function sizeOf(file: string): number {
  try {
    return statSync(realpathSync(file)).size
  } catch {
    return 0 // a link to nothing
  }
}
