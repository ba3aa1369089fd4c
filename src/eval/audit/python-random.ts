/**
 * CPython's `random.Random(seed)` as far as published scripts use it to draw lists: Mersenne Twister 19937 seeded
 * with an integer below 2^32 (init_by_array of one key), getrandbits, sample and shuffle of Python 3.
 *
 *   randbelow(n)  bits = bit length of n; getrandbits(bits) until it is below n; each call takes one word
 *   sample(n, k)  k different places of n: by a shrinking pool where n is small, by refusing repeats else
 *   shuffle       from the end, swapping place i with randbelow(i + 1)
 *
 * Seeding again gives the same words again, so a generator is a row of words with a cursor; words are made on
 * demand, which is right for the first 227 (M. Matsumoto, T. Nishimura, ACM TOMACS 8, 1998).
 */

const length = 624
const shift = 397
/** Words past this need the twist of others before them. */
const lazyWords = length - shift

/** init_genrand(19650218): where every seeding by array starts. */
const initial = ((): Uint32Array => {
  const state = new Uint32Array(length)
  state[0] = 19650218
  for (let i = 1; i < length; i++) {
    const before = state[i - 1]!
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i
  }
  return state
})()

function seededState(seed: number): Uint32Array {
  const state = Uint32Array.from(initial)
  let i = 1
  for (let step = 0; step < length; step++) {
    const before = state[i - 1]!
    state[i] = (state[i]! ^ Math.imul(before ^ (before >>> 30), 1664525)) + seed
    if (++i === length) {
      state[0] = state[length - 1]!
      i = 1
    }
  }
  for (let step = 1; step < length; step++) {
    const before = state[i - 1]!
    state[i] = (state[i]! ^ Math.imul(before ^ (before >>> 30), 1566083941)) - i
    if (++i === length) {
      state[0] = state[length - 1]!
      i = 1
    }
  }
  state[0] = 0x80000000
  return state
}

export class PythonRandom {
  private readonly state: Uint32Array
  private readonly words: number[] = []
  private cursor = 0

  /** `seed`: a whole number from 0 below 2^32. */
  constructor(seed: number) {
    this.state = seededState(seed)
  }

  /** As if seeded again with the same number. */
  restart(): void {
    this.cursor = 0
  }

  randbelow(n: number): number {
    const bits = 32 - Math.clz32(n)
    for (;;) {
      const value = this.word() >>> (32 - bits)
      if (value < n) return value
    }
  }

  /** `count` different places below n, in the order drawn. */
  sample(n: number, count: number): number[] {
    const small = count > 5 ? 21 + 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 21
    if (n <= small) {
      const pool = Array.from({ length: n }, (_, place) => place)
      return Array.from({ length: count }, (_, drawn) => {
        const at = this.randbelow(n - drawn)
        const place = pool[at]!
        pool[at] = pool[n - drawn - 1]!
        return place
      })
    }
    const chosen = new Set<number>()
    while (chosen.size < count) chosen.add(this.randbelow(n))
    return [...chosen]
  }

  shuffle<T>(values: T[]): T[] {
    for (let i = values.length - 1; i > 0; i--) {
      const j = this.randbelow(i + 1)
      const kept = values[i]!
      values[i] = values[j]!
      values[j] = kept
    }
    return values
  }

  private word(): number {
    const at = this.cursor++
    if (at >= lazyWords) throw new RangeError(`more than ${lazyWords} words of a list's generator`)
    this.words[at] ??= this.made(at)
    return this.words[at]
  }

  private made(at: number): number {
    const y = (this.state[at]! & 0x80000000) | (this.state[at + 1]! & 0x7fffffff)
    let word = this.state[at + shift]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    word ^= word >>> 11
    word ^= (word << 7) & 0x9d2c5680
    word ^= (word << 15) & 0xefc60000
    return (word ^ (word >>> 18)) >>> 0
  }
}
