/**
 * Which training instances serve which phase. Users, not instances, are parted by the hash of (seed, user):
 * the imitation part (collect.part, 60 %) feeds Collection and Imitation, the rest are prompts of
 * Internalization, so no reasoning learned by heart is rewarded later.
 */

import type { Config } from '../../config/schema.js'
import { withFreshNegatives } from '../../data/candidates.js'
import { chosen } from '../../data/random.js'
import type { Dataset, Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import type { ModelContext } from './context.js'
import { hashOrder, hashUnit } from './streams.js'

export interface TrainingParts {
  readonly imitation: readonly Instance[]
  readonly internalization: readonly Instance[]
}

export function trainingParts(dataset: Dataset, config: Config): TrainingParts {
  const inFirst = (instance: Instance): boolean =>
    hashUnit(config.seed, 'part', instance.user) < config.collect.part
  const imitation = dataset.train.filter(inFirst)
  const internalization = dataset.train.filter((instance) => !inFirst(instance))
  if (imitation.length === 0) throw noInstances('Collection and Imitation', dataset)
  if (internalization.length === 0) throw noInstances('Internalization', dataset)
  return { imitation, internalization }
}

/**
 * The instances Collection asks, in a fixed order, and `further` ones behind them. A larger count keeps
 * what a smaller one chose.
 */
export function collectInstances(dataset: Dataset, config: Config, further = 0): readonly Instance[] {
  const { imitation } = trainingParts(dataset, config)
  const count = (config.collect.instances ?? imitation.length) + further
  return chosen(imitation, count, ({ id }) => id, config.seed, 'collect')
}

/** The same with the candidates that Collection shows, as the method asks about them. */
export function askedInstances(context: Pick<ModelContext, 'config' | 'dataset' | 'method'>): Instance[] {
  const { config, dataset, method } = context
  return collectInstances(dataset, config).map((instance) =>
    method.question(dataset, shownInstance(dataset, instance, 0)),
  )
}

export function testInstances(dataset: Dataset, config: Config): readonly Instance[] {
  if (dataset.test.length === 0) throw noInstances('evaluation', dataset)
  return chosen(
    dataset.test,
    config.eval.instances ?? dataset.test.length,
    ({ id }) => id,
    config.seed,
    'test',
  )
}

export function validInstances(dataset: Dataset, config: Config, count: number): readonly Instance[] {
  return chosen(dataset.valid, count, ({ id }) => id, config.seed, 'valid')
}

/**
 * The `count` prompts of a step: consecutive places in an endless row of epochs, each epoch in its own
 * hash order. A pure function of (seed, step), so a resumed run needs no sampler state.
 */
export function promptsOfStep(
  instances: readonly Instance[],
  orders: EpochOrders,
  step: number,
  count: number,
): { readonly instance: Instance; readonly epoch: number }[] {
  return Array.from({ length: count }, (_, index) => {
    const place = step * count + index
    const epoch = Math.floor(place / instances.length)
    return { instance: orders.of(epoch)[place % instances.length] as Instance, epoch }
  })
}

/** Orders by epoch, the last two kept. */
export class EpochOrders {
  private readonly known = new Map<number, readonly Instance[]>()

  constructor(
    private readonly instances: readonly Instance[],
    private readonly seed: number,
    private readonly purpose: string,
  ) {}

  of(epoch: number): readonly Instance[] {
    const found = this.known.get(epoch)
    if (found) return found
    const order = hashOrder(this.instances, ({ id }) => id, this.seed, this.purpose, epoch)
    if (this.known.size >= 2) this.known.delete(Math.min(...this.known.keys()))
    this.known.set(epoch, order)
    return order
  }
}

/**
 * A training instance with negatives of its own for this use. Lists that come with the data may be a
 * function of the target, so training never shows them (epoch 0); draws differ from epoch to epoch.
 */
export function shownInstance(dataset: Dataset, instance: Instance, epoch: number): Instance {
  return withFreshNegatives(dataset, instance, epoch + 1)
}

function noInstances(what: string, dataset: Dataset): ReasonrecError {
  return new ReasonrecError('RR_DATA_NO_INSTANCES', `no instances are left for ${what}`, {
    expected: 'at least one',
    got: `${dataset.train.length} training, ${dataset.valid.length} valid and ${dataset.test.length} test instances in ${dataset.name}`,
    remedy: 'give more users, lower data.min_hist, or change collect.part',
  })
}
