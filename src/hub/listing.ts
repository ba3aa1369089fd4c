/**
 * What a revision of a model consists of: its commit, and the files a user of the weights needs. The answer comes
 * from outside: names that could leave the folder are a reason to stop, not to skip.
 */

import { listFiles, modelInfo } from '@huggingface/hub'
import { ReasonrecError } from '../engine/index.js'
import { type HubOptions, jsonFetch, strangeAnswer } from './hub-fetch.js'
import { isCommit, type Repository } from './repository.js'

export interface HubFile {
  readonly path: string
  readonly bytes: number
  /** Name of its blob: SHA-256 of the content, or git's id of it. */
  readonly etag: string
  readonly kind: 'sha256' | 'git'
}

export interface Listing {
  readonly commit: string
  readonly files: readonly HubFile[]
  /** Files of the repository that are not loaded. */
  readonly skipped: number
}

const mostFiles = 10_000
const largestText = 100_000_000 // bytes of a file that is not weights
const largestWeights = 4e12 // bytes
const wanted =
  /^(config\.json|generation_config\.json|tokenizer.*\.(json|model)|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.(jinja|json)|adapter_config\.json|.*\.safetensors(\.index\.json)?|licen[cs]e.*|notice.*|readme\.md)$/i

/** @throws RR_HUB_*, RR_HUB_NO_WEIGHTS */
export async function listModel({ name, revision }: Repository, options: HubOptions): Promise<Listing> {
  const common = { hubUrl: options.endpoint, fetch: jsonFetch(options) }
  const info = await modelInfo({ name, revision, additionalFields: ['sha'], ...common })
  const commit = String((info as { sha?: unknown } | null)?.sha)
  if (!isCommit(commit)) throw strangeAnswer('no commit')
  const all: HubFile[] = []
  let seen = 0
  try {
    for await (const entry of listFiles({ repo: name, revision: commit, recursive: true, ...common })) {
      if (++seen > mostFiles) throw strangeAnswer(`more than ${mostFiles} files`)
      const file = hubFile(entry)
      if (file) all.push(file)
    }
  } catch (error) {
    if (error instanceof TypeError) throw strangeAnswer('a listing that is no list') // not iterable, no strings
    throw error
  }
  const files = chosen(all)
  if (!files.some(({ path }) => path.endsWith('.safetensors'))) {
    const other = all.find(({ path }) => /\.(bin|pt|pth|gguf|onnx|h5|msgpack)$/.test(path))
    throw new ReasonrecError('RR_HUB_NO_WEIGHTS', `${name} holds no safetensors weights`, {
      expected: 'model.safetensors or shards of it',
      got: other?.path ?? 'no weights',
      remedy: 'look for a conversion of the model to safetensors',
    })
  }
  return { commit, files, skipped: seen - files.length }
}

/** Null for folders. */
function hubFile(entry: unknown): HubFile | null {
  const { type, path, size, oid, lfs } = (entry ?? {}) as Record<string, unknown>
  if (typeof path !== 'string' || !isPlainPath(path)) {
    throw new ReasonrecError('RR_HUB_PATH', 'the hub names a file that would lie outside the model folder', {
      expected: 'plain relative names',
      got: JSON.stringify(path)?.slice(0, 200) ?? 'nothing',
      remedy: 'do not load this model; nothing was written',
    })
  }
  if (type !== 'file') return null
  const large = lfs as { readonly oid?: unknown; readonly size?: unknown } | null | undefined
  const bytes = large?.size ?? size
  const etag = large ? large.oid : oid
  const isWeights = path.endsWith('.safetensors')
  const format = large ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/
  if (
    typeof etag !== 'string' ||
    !format.test(etag) ||
    typeof bytes !== 'number' ||
    !Number.isSafeInteger(bytes)
  )
    throw strangeAnswer(`no size or checksum for ${path.slice(0, 100)}`)
  if (bytes < 0 || (wanted.test(path) && bytes > (isWeights ? largestWeights : largestText)))
    throw strangeAnswer(`a size of ${bytes} bytes for ${path.slice(0, 100)}`)
  return { path, bytes, etag, kind: large ? 'sha256' : 'git' }
}

function isPlainPath(path: string): boolean {
  if (path.length === 0 || path.length > 1000 || /[\\\p{Cc}\p{Cf}:]/u.test(path)) return false
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255)
}

/** Files at the top; of several kinds of safetensors those the index or the usual name stands for. */
function chosen(all: readonly HubFile[]): HubFile[] {
  const top = all.filter(({ path }) => !path.includes('/') && wanted.test(path))
  const usual = top.some(({ path }) => /^model(-\d+-of-\d+)?\.safetensors$/.test(path))
  const names = new Set<string>()
  return top
    .filter(({ path }) => !usual || !path.includes('.safetensors') || /^(model|adapter_model)[-.]/.test(path))
    .filter(({ path }) => !names.has(path.toLowerCase()) && names.add(path.toLowerCase()))
    .sort((a, b) => a.bytes - b.bytes || (a.path < b.path ? -1 : 1))
}
