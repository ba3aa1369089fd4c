/**
 * Reward terms from files: an ES module that exports `reward`, or `rewards`, a list; .mjs, .js, or .ts. TypeScript is read by
 * Node.js itself where it can, and by tsx otherwise, which is an optional dependency. A file counts only with the bytes that
 * the configuration names by their sha256; what it imports is not part of the hash.
 */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Config } from '../config/schema.js'
import { ReasonrecError } from '../engine/errors.js'
import { registeredTerms, requireUserReward, type UserReward, userTerm } from './user-reward.js'
import type { OwnTerm } from './weights.js'

const extensions = ['.mjs', '.js', '.ts', '.mts']

/** The terms of the files a configuration names, and what was registered. @throws RR_CONFIG_REWARD */
export async function ownTermsOf({ rl }: Pick<Config, 'rl'>): Promise<OwnTerm[]> {
  const terms = registeredTerms()
  for (const { file, sha256 } of rl.reward.user) {
    requireSameBytes(file, sha256)
    for (const reward of await rewardsIn(file)) {
      if (terms.some(({ term }) => term.id === reward.id))
        throw refused(`${file} holds a second reward term ${reward.id}`, 'give each term an id of its own')
      terms.push({ term: userTerm(reward), weight: reward.weight ?? 1 })
    }
  }
  return terms
}

async function rewardsIn(file: string): Promise<UserReward[]> {
  if (!extensions.includes(extname(file)))
    throw refused(`${file} is no module`, `give a file that ends in ${extensions.join(', ')}`)
  let module: Readonly<Record<string, unknown>>
  try {
    module = await imported(file)
  } catch (cause) {
    if (cause instanceof ReasonrecError) throw cause
    throw refused(`${file} cannot be loaded`, 'correct the file', cause)
  }
  // A .ts file beside no package.json of type module comes as a CommonJS module: its exports under `default`.
  const inner = (module.default ?? {}) as Readonly<Record<string, unknown>>
  const given = module.rewards ?? module.reward ?? inner.rewards ?? inner.reward ?? module.default
  const rewards: readonly unknown[] = Array.isArray(given) ? given : [given]
  return rewards.map((reward) => {
    requireUserReward(reward, file)
    return reward
  })
}

async function imported(file: string): Promise<Readonly<Record<string, unknown>>> {
  const url = pathToFileURL(file).href
  const byNode = !extname(file).endsWith('ts') || 'typescript' in process.features
  if (byNode) return import(/* @vite-ignore */ url)
  const { tsImport } = await import('tsx/esm/api').catch((cause) => {
    throw refused(
      `${file} is TypeScript, which this Node.js does not read`,
      'install tsx, use Node.js 22.18 or later, or give a .mjs file',
      cause,
    )
  })
  return tsImport(url, import.meta.url)
}

function requireSameBytes(file: string, sha256: string | null): void {
  const found = rewardFileHash(file)
  if (sha256 === null || found === sha256) return
  throw new ReasonrecError('RR_CONFIG_REWARD', `${file} is not the file the run began with`, {
    expected: `sha256 ${sha256}`,
    got: found,
    remedy: 'put the file back as it was, or start a new run',
  })
}

/** Hexadecimal. @throws RR_CONFIG_REWARD */
export function rewardFileHash(file: string): string {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex')
  } catch (cause) {
    throw refused(`the reward file ${file} cannot be read`, 'correct --reward or rl.reward.user', cause)
  }
}

function refused(what: string, remedy: string, cause?: unknown): ReasonrecError {
  const got = cause instanceof Error ? cause.message : undefined
  return new ReasonrecError('RR_CONFIG_REWARD', what, { ...(got && { got }), remedy }, { cause })
}
