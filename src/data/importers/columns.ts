/** Typed arrays that grow, and ids as numbers: 28 bytes a row and each id once. */

import type { Columns } from '../raw.js'

type Numbers = Int32Array | Float64Array

class Column<T extends Numbers> {
  private held: T
  private length = 0

  constructor(private readonly Kind: new (length: number) => T) {
    this.held = new Kind(1024)
  }

  push(value: number): void {
    if (this.length === this.held.length) {
      const more = new this.Kind(Math.ceil(1.5 * this.held.length))
      more.set(this.held)
      this.held = more
    }
    this.held[this.length++] = value
  }

  values(): T {
    return this.held.subarray(0, this.length) as T
  }
}

/** Ids in the order in which they first come. */
export class Numbering {
  readonly ids: string[] = []
  private readonly numbers = new Map<string, number>()

  of(id: string): number {
    const known = this.numbers.get(id)
    if (known !== undefined) return known
    // A piece of a line would keep the whole block of the file it was cut from.
    const own = Buffer.from(id, 'utf8').toString('utf8')
    this.numbers.set(own, this.ids.length)
    return this.ids.push(own) - 1
  }

  has(id: string): boolean {
    return this.numbers.has(id)
  }
}

export class RowStore {
  private readonly users = new Column(Int32Array)
  private readonly items = new Column(Int32Array)
  private readonly lines = new Column(Int32Array)
  private readonly ratings = new Column(Float64Array)
  private readonly times = new Column(Float64Array)
  readonly userIds = new Numbering()
  readonly itemIds = new Numbering()
  rows = 0

  push(user: string, item: string, rating: number, time: number, line: number): void {
    this.users.push(this.userIds.of(user))
    this.items.push(this.itemIds.of(item))
    this.ratings.push(rating)
    this.times.push(time)
    this.lines.push(line)
    this.rows++
  }

  columns(): Columns {
    return {
      users: this.users.values(),
      items: this.items.values(),
      ratings: this.ratings.values(),
      times: this.times.values(),
      lines: this.lines.values(),
      userIds: this.userIds.ids,
      itemIds: this.itemIds.ids,
    }
  }
}
