/** Control rows that more than one method has: tests whose evidence belongs to somebody else. */

import type { Instance } from '../data/types.js'
import { nextInRing } from '../phases/run/streams.js'

/**
 * Every test with what another one's user did before his target, in a ring by hash: the history, and the user and place
 * by which a method finds more of it.
 */
export function exchangedHistories(instances: readonly Instance[], seed: number): readonly Instance[] {
  const next = nextInRing(instances, seed, 'exchanged histories')
  return instances.map((instance) => {
    const { user, history, position } = next.get(instance.id) ?? instance
    return { ...instance, user, history, ...(position !== undefined && { position }) }
  })
}
