/**
 * The embedded world: a catalogue of albums and users who choose from it, a pure function of a seed.
 *
 *   item   theme (16), maker (24), mood (6), the triple unique; popularity pop = rank^-0.8, ranks at random
 *   user   lens = theme with p 0.6, else maker: the kind of value this user follows; two main values of that kind
 *          and a preferred mood; the first main value is the current one, and before every choice it is
 *          exchanged with p 0.12 (drift)
 *   choice with p 0.9 by taste: weight pop^a [lens value = current] exp(1.3 [mood = preferred]); else weight pop^a
 *   rating round(2.4 + 1.4 [lens value is a main one] + 1.0 [mood = preferred] + N(0, 0.5)), within 1 to 5
 *
 * No item is chosen twice by a user. The last eight choices before a target are its history. What a user will
 * choose is known to `nextProbabilities` alone: the ceiling that the result table calls oracle.
 */

import { type Random, seeded } from '../data/random.js'
import { type Maker, type Mood, makers, moods, type Theme, themes, titleWord } from './catalogue-words.js'

export interface WorldItem {
  readonly title: string
  readonly theme: Theme
  readonly maker: Maker
  readonly mood: Mood
  /** rank^-0.8. */
  readonly popularity: number
}

export type Lens = 'theme' | 'maker'

export interface Choice {
  readonly item: number
  /** 1 to 5. */
  readonly rating: number
  /** The main value that was current before this choice: 0 or 1. */
  readonly before: 0 | 1
}

export interface WorldUser {
  readonly lens: Lens
  readonly mains: readonly [string, string]
  readonly mood: Mood
  readonly choices: readonly Choice[]
}

export interface WorldShape {
  readonly items: number
  readonly choices: number
  readonly switching: number
  readonly taste: number
  /** Exponent of popularity in a choice. */
  readonly skew: number
  readonly moodStrength: number
}

/** Frozen with the weights. */
export const worldSeed = 7
export const worldShape: WorldShape = {
  items: 600,
  choices: 12,
  switching: 0.12,
  taste: 0.9,
  skew: 0.6,
  moodStrength: 1.3,
}

export class World {
  readonly items: readonly WorldItem[]
  /** popularity^skew, (items). */
  private readonly pull: Float64Array

  constructor(
    readonly seed: number,
    readonly shape: WorldShape = worldShape,
  ) {
    this.items = drawItems(seed, shape)
    this.pull = Float64Array.from(this.items, ({ popularity }) => popularity ** shape.skew)
  }

  /** The user of this number, the same whatever other users were drawn. */
  user(number: number): WorldUser {
    const random = seeded(this.seed, 'user', number)
    const lens: Lens = random.float() < 0.6 ? 'theme' : 'maker'
    const [first, second] = random.shuffled<string>(lens === 'theme' ? themes : makers) as [string, string]
    const taste = { lens, mains: [first, second] as const, mood: moods[random.below(moods.length)] as Mood }
    const choices: Choice[] = []
    const seen = new Set<number>()
    let current: 0 | 1 = 0
    for (let step = 0; step < this.shape.choices; step++) {
      const before = current
      if (random.float() < this.shape.switching) current = current === 0 ? 1 : 0
      const byTaste = random.float() < this.shape.taste
      const item = draw(this.weights(taste, byTaste ? current : null, seen), random)
      seen.add(item)
      choices.push({ item, rating: this.rating(taste, item, random), before })
    }
    return { ...taste, choices }
  }

  /** p(next choice = item) before choice `step` of a user, (items): what the generator itself would draw from. */
  nextProbabilities(user: WorldUser, step: number): Float64Array {
    const seen = new Set(user.choices.slice(0, step).map(({ item }) => item))
    const current = user.choices[step]?.before ?? 0
    const { switching, taste } = this.shape
    const parts: readonly (readonly [number, Float64Array])[] = [
      [taste * (1 - switching), this.weights(user, current, seen)],
      [taste * switching, this.weights(user, current === 0 ? 1 : 0, seen)],
      [1 - taste, this.weights(user, null, seen)],
    ]
    const result = new Float64Array(this.items.length)
    for (const [share, weights] of parts) {
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      weights.forEach((weight, item) => {
        result[item] = (result[item] as number) + (share * weight) / total
      })
    }
    return result
  }

  /** Unnormalised; `current` null: a choice without taste. */
  private weights(
    user: Pick<WorldUser, 'lens' | 'mains' | 'mood'>,
    current: 0 | 1 | null,
    seen: ReadonlySet<number>,
  ): Float64Array {
    const moodFactor = Math.exp(this.shape.moodStrength)
    const main = current === null ? null : user.mains[current]
    const weights = this.pull.map((pull, index) => {
      const item = this.items[index] as WorldItem
      if (seen.has(index) || (main !== null && item[user.lens] !== main)) return 0
      return pull * (main !== null && item.mood === user.mood ? moodFactor : 1)
    })
    // A user who has chosen everything of the current value chooses without taste.
    return weights.some((weight) => weight > 0) ? weights : this.weights(user, null, seen)
  }

  private rating(
    { lens, mains, mood }: Pick<WorldUser, 'lens' | 'mains' | 'mood'>,
    index: number,
    random: Random,
  ): number {
    const item = this.items[index] as WorldItem
    const liked = mains.includes(item[lens]) ? 1.4 : 0
    return Math.min(
      5,
      Math.max(1, Math.round(2.4 + liked + (item.mood === mood ? 1 : 0) + 0.5 * normal(random))),
    )
  }
}

function drawItems(seed: number, { items }: WorldShape): WorldItem[] {
  const random = seeded(seed, 'items')
  const triples = themes.flatMap((theme) =>
    makers.flatMap((maker) => moods.map((mood) => ({ theme, maker, mood }))),
  )
  const ranks = random.shuffled(Array.from({ length: items }, (_, rank) => rank + 1))
  return random
    .shuffled(triples)
    .slice(0, items)
    .map(({ theme, maker, mood }, index) => ({
      title: `${titleWord(theme, mood)} ${maker}`,
      theme,
      maker,
      mood,
      popularity: (ranks[index] as number) ** -0.8,
    }))
}

/** Every title word with every maker: what the texts of pre-training draw from, the 600 of a world among them. */
export function everyTitle(): readonly WorldItem[] {
  return themes.flatMap((theme) =>
    moods.flatMap((mood) =>
      makers.map((maker) => ({
        title: `${titleWord(theme, mood)} ${maker}`,
        theme,
        maker,
        mood,
        popularity: 0,
      })),
    ),
  )
}

function draw(weights: Float64Array, random: Random): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let left = random.float() * total
  let last = 0
  for (let item = 0; item < weights.length; item++) {
    const weight = weights[item] as number
    if (weight === 0) continue
    last = item
    left -= weight
    if (left < 0) return item
  }
  return last
}

/** Box-Muller. */
function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.float()))
  return radius * Math.cos(2 * Math.PI * random.float())
}
