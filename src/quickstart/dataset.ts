/**
 * The embedded world as a Dataset: users 0.. train (instances at every choice behind a history of eight), the next
 * ones validate, the rest test (their last choice alone). Nobody of validation or test trains. Lists of
 * candidates are the target and 19 items the user has not chosen.
 */

import { drawCandidates } from '../data/candidates.js'
import type { Dataset, Instance, Interaction, NegativeSource, Part } from '../data/types.js'
import { untrusted } from '../prompts/untrusted-text.js'
import { World, type WorldUser, worldSeed } from './world.js'

/** Users by part. */
export const worldUsers = { train: 240, valid: 100, test: 2000 } as const
export const historyLength = 8

interface EmbeddedUser {
  readonly id: string
  readonly part: Part
  readonly user: WorldUser
}

export function embeddedDataset(
  options: {
    readonly candidates?: number
    readonly candidateSeed?: number
    /** Items shown of a history, at most `historyLength`, which is also what an instance needs before its target. */
    readonly shown?: number
  } = {},
): Dataset {
  const { candidates = 20, candidateSeed = 0, shown = historyLength } = options
  const world = new World(worldSeed)
  const users = embeddedUsers(world)
  const userInteractions = new Map(users.map(({ id, user }) => [id, interactionsOf(id, user)]))
  const userItems = new Map(users.map(({ id, user }) => [id, user.choices.map(({ item }) => item)]))
  const negatives: NegativeSource = {
    seed: candidateSeed,
    count: candidates,
    universe: world.items.map((_, index) => index),
  }
  const instancesOf = (part: Part): Instance[] =>
    users
      .filter((user) => user.part === part)
      .flatMap(({ id, user }) => {
        const items = user.choices.map(({ item }) => item)
        const steps = items.map((_, step) => step).slice(part === 'train' ? historyLength : -1)
        return steps.map((step) => {
          const draft = {
            id: `${part}/${id}/${step}`,
            user: id,
            history: items.slice(step - shown, step),
            target: items[step] as number,
            position: step,
          }
          return { ...draft, candidates: drawCandidates(negatives, userItems, draft, 0) ?? [] }
        })
      })
  const byId = new Map(users.map(({ id, user }) => [id, user]))
  return {
    ...catalogueDataset(world.items),
    trainInteractions: users
      .filter(({ part }) => part === 'train')
      .flatMap(({ id }) => userInteractions.get(id) ?? []),
    train: instancesOf('train'),
    valid: instancesOf('valid'),
    test: instancesOf('test'),
    userItems,
    userInteractions,
    clock: 'own',
    negatives,
    oracle: ({ id, user, candidates: list }) => {
      const known = byId.get(user)
      if (!known) throw new RangeError(`the embedded world has no user ${user}`)
      const probabilities = world.nextProbabilities(known, Number(id.split('/').at(-1)))
      return list.map((item) => probabilities[item] ?? 0)
    },
    notes: [
      `synthetic world ${worldSeed}: ${world.items.length} items, ${users.length} users; lists of ${candidates}, seed ${candidateSeed}; histories of ${shown}`,
    ],
  }
}

/** Items alone, without anybody's choices: what pre-training may know. */
export function catalogueDataset(titled: readonly { readonly title: string }[]): Dataset {
  const items = titled.map(({ title }, index) => ({ id: String(index), title: untrusted(title) }))
  return {
    name: 'embedded',
    noun: 'album',
    items,
    trainInteractions: [],
    train: [],
    valid: [],
    test: [],
    notes: [],
  }
}

function embeddedUsers(world: World): EmbeddedUser[] {
  const parts = (['train', 'valid', 'test'] as const).flatMap((part) =>
    Array.from({ length: worldUsers[part] }, () => part),
  )
  return parts.map((part, number) => ({ id: String(number), part, user: world.user(number) }))
}

function interactionsOf(id: string, { choices }: WorldUser): Interaction[] {
  return choices.map(({ item, rating }, step) => ({ user: id, item, rating, timestamp: step }))
}
