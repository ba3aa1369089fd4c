/**
 * A model from a hub into the shared cache: list, check the room on the disk, load what is missing, link the
 * snapshot, and only then point the revision's ref at it. Files that are there are not loaded again.
 */

import { existsSync, mkdirSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import lockfile from 'proper-lockfile'
import { ReasonrecError } from '../engine/index.js'
import type { HubOptions } from './hub-fetch.js'
import { type HubFile, listModel } from './listing.js'
import { cachedSnapshot, cacheFolder, isCommit, type Repository, repositoryFolder } from './repository.js'
import { fetchBlob } from './transfer.js'

export interface PullProgress {
  start(file: string, index: number, count: number, bytes: number, total: number): void
  received(bytes: number): void
}

export interface Pulled {
  readonly name: string
  readonly revision: string
  readonly commit: string
  readonly dir: string
  readonly files: number
  readonly bytes: number
  /** Files of the repository that are of no use here. */
  readonly skipped: number
}

/** `offline`: nothing is asked; the snapshot has to be there. @throws RR_HUB_*, RR_WRITE_FAILED, RR_OUTPUT_DISK_FULL */
export async function pull(
  repository: Repository,
  options: HubOptions & { readonly offline: boolean; readonly cache?: string },
  progress: PullProgress,
): Promise<Pulled> {
  const cache = options.cache ?? cacheFolder()
  const { name, revision } = repository
  const folder = repositoryFolder(name, cache)
  if (options.offline) return offlineSnapshot(repository, cache)
  const { commit, files, skipped } = await listModel(repository, options)
  if (isCommit(revision) && revision !== commit) {
    throw new ReasonrecError('RR_HUB_ANSWER', 'the hub answers with another commit than the one asked for', {
      expected: revision,
      got: commit,
    })
  }
  const snapshot = path.join(folder, 'snapshots', commit)
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  mkdirSync(snapshot, { recursive: true })
  requireRoom(folder, files)
  const release = await lock(folder)
  try {
    for (const [index, file] of files.entries()) {
      progress.start(file.path, index, files.length, file.bytes, total)
      const url = `${options.endpoint}/${name}/resolve/${commit}/${encodeURIComponent(file.path)}`
      const blob = path.join(folder, 'blobs', file.etag)
      await fetchBlob(url, file, blob, options, (bytes) => progress.received(bytes))
      const link = path.join(snapshot, file.path)
      if (!existsSync(link)) symlinkSync(path.join('..', '..', 'blobs', file.etag), link)
    }
    if (!isCommit(revision)) {
      const ref = path.join(folder, 'refs', revision)
      mkdirSync(path.dirname(ref), { recursive: true })
      writeFileSync(ref, commit)
    }
  } finally {
    await release()
  }
  return { name, revision, commit, dir: snapshot, files: files.length, bytes: total, skipped }
}

function offlineSnapshot(repository: Repository, cache: string): Pulled {
  const dir = cachedSnapshot(repository, cache)
  if (!dir) {
    throw new ReasonrecError(
      'RR_HUB_OFFLINE',
      `${repository.name} is not in the cache, and nothing may be loaded`,
      {
        expected: `a snapshot of ${repository.revision} in ${cache}`,
        remedy: 'run it without --offline and HF_HUB_OFFLINE',
      },
    )
  }
  return { ...repository, commit: path.basename(dir), dir, files: 0, bytes: 0, skipped: 0 }
}

function requireRoom(folder: string, files: readonly HubFile[]): void {
  const missing = files.filter(({ etag }) => !existsSync(path.join(folder, 'blobs', etag)))
  const needed = missing.reduce((sum, { bytes }) => sum + bytes, 0)
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize >= needed) return
  throw new ReasonrecError('RR_OUTPUT_DISK_FULL', `the disk of ${folder} has no room for this model`, {
    expected: `${needed} bytes free`,
    got: `${bavail * bsize} bytes`,
    remedy: 'free space, or set HF_HOME to another disk',
  })
}

async function lock(folder: string): Promise<() => Promise<void>> {
  try {
    return await lockfile.lock(folder, { realpath: false, stale: 30_000, retries: 0 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error
    throw new ReasonrecError('RR_HUB_LOCKED', 'another process is loading this model', {
      got: `${folder}.lock`,
      remedy: 'wait for it to end',
    })
  }
}
