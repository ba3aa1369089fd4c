/**
 * Reads a pickle (protocols 2 to 5) into plain data: numbers, texts, bytes, lists, maps, and a record for each object that
 * the pickle builds. Nothing is looked up, called or evaluated: a name that is not in the whitelist (what pandas and numpy
 * need to write a data frame) refuses the whole file, and a whitelisted name is only ever kept as the name of a record.
 */

import { ReasonrecError } from '../../engine/errors.js'

/** An object: the name of what would make it, its arguments, its state. */
export interface Built {
  readonly made: string
  readonly args: readonly unknown[]
  state: unknown
}

const allowed =
  /^(pandas\.core\.frame\.DataFrame|pandas\.core\.internals\.managers\.BlockManager|pandas\._libs\.internals\._unpickle_block|pandas\.core\.indexes\.(base\.(_new_Index|Index)|range\.RangeIndex|numeric\.Int64Index)|numpy(\._core|\.core)\.multiarray\.(_reconstruct|scalar)|numpy(\._core|\.core)\.numeric\._frombuffer|numpy\.(ndarray|dtype)|builtins\.slice|_codecs\.encode)$/

const largest = 2 ** 31 // bytes or entries of one value
const mark = Symbol('mark')

export const isBuilt = (value: unknown): value is Built =>
  typeof value === 'object' && value !== null && 'made' in value && 'args' in value

/** @throws RR_DATA_PICKLE for a name outside the whitelist, an unknown opcode or an early end */
export function readPickle(path: string, bytes: Buffer): unknown {
  return new Machine(path, bytes).run()
}

class Machine {
  private at = 0
  private readonly stack: unknown[] = []
  private readonly memo = new Map<number, unknown>()

  constructor(
    private readonly path: string,
    private readonly bytes: Buffer,
  ) {}

  run(): unknown {
    for (;;) {
      const code = this.take(1)[0] as number
      if (code === 0x2e) return this.pop()
      this.step(String.fromCharCode(code), code)
    }
  }

  private step(letter: string, code: number): void {
    if (this.constant(letter, code) || this.memory(letter, code) || this.container(letter, code)) return
    switch (code) {
      case 0x80: // PROTO
        this.take(1)
        return
      case 0x95: // FRAME
        this.take(8)
        return
      case 0x93: // STACK_GLOBAL
        this.global(`${this.under()}.${this.pop()}`)
        return
      case 0x63: // GLOBAL
        this.global(`${this.line()}.${this.line()}`)
        return
      case 0x81: // NEWOBJ
      case 0x52: // REDUCE
        this.build()
        return
      case 0x62: {
        // BUILD
        const state = this.pop()
        const object = this.stack.at(-1)
        if (!isBuilt(object)) this.refuse('an object to give a state to', typeof object)
        object.state = state
        return
      }
      default:
        this.refuse('an opcode of plain data', `opcode 0x${code.toString(16)} at ${this.at - 1}`)
    }
  }

  private constant(letter: string, code: number): boolean {
    const push = (value: unknown): true => {
      this.stack.push(value)
      return true
    }
    if (letter === 'N') return push(null)
    if (code === 0x88 || code === 0x89) return push(code === 0x88)
    if (letter === 'K') return push(this.take(1)[0])
    if (letter === 'M') return push(this.take(2).readUInt16LE())
    if (letter === 'J') return push(this.take(4).readInt32LE())
    if (code === 0x8a) return push(this.long(this.take(1)[0] as number))
    if (letter === 'G') return push(this.take(8).readDoubleBE())
    if (code === 0x8c) return push(this.take(this.take(1)[0] as number).toString('utf8'))
    if (letter === 'X') return push(this.sized(4).toString('utf8'))
    if (code === 0x8d) return push(this.sized(8).toString('utf8'))
    if (letter === 'C') return push(this.take(this.take(1)[0] as number))
    if (letter === 'B') return push(this.sized(4))
    return code === 0x8e || code === 0x96 ? push(this.sized(8)) : false
  }

  private memory(letter: string, code: number): boolean {
    if (code === 0x94) this.memo.set(this.memo.size, this.stack.at(-1))
    else if (letter === 'q') this.memo.set(this.take(1)[0] as number, this.stack.at(-1))
    else if (letter === 'r') this.memo.set(this.take(4).readUInt32LE(), this.stack.at(-1))
    else if (letter === 'h') this.stack.push(this.memo.get(this.take(1)[0] as number))
    else if (letter === 'j') this.stack.push(this.memo.get(this.take(4).readUInt32LE()))
    else return false
    return true
  }

  private container(letter: string, code: number): boolean {
    if (letter === '(') this.stack.push(mark)
    else if (letter === ')' || letter === ']') this.stack.push([])
    else if (letter === '}') this.stack.push(new Map())
    else if (letter === 't') this.stack.push(this.toMark())
    else if (code >= 0x85 && code <= 0x87) {
      if (this.stack.length < code - 0x84) this.refuse('more values', 'an empty stack')
      this.stack.push(this.stack.splice(-(code - 0x84)))
    } else if (letter === 'a') this.append([this.pop()])
    else if (letter === 'e') this.append(this.toMark())
    else if (letter === 's') this.set([this.under(), this.pop()])
    else if (letter === 'u') this.set(this.toMark())
    else return false
    return true
  }

  private append(values: readonly unknown[]): void {
    const list = this.stack.at(-1)
    if (!Array.isArray(list)) this.refuse('a list', typeof list)
    for (const value of values) list.push(value)
  }

  private set(pairs: readonly unknown[]): void {
    const map = this.stack.at(-1)
    if (!(map instanceof Map)) this.refuse('a dict', typeof map)
    for (let at = 0; at + 1 < pairs.length; at += 2) map.set(pairs[at], pairs[at + 1])
  }

  private global(name: string): void {
    if (!allowed.test(name)) this.refuse('names that a data frame needs', name.slice(0, 80))
    this.stack.push({ made: name, args: [], state: null } satisfies Built)
  }

  private build(): void {
    const args = this.pop()
    const maker = this.pop()
    if (!isBuilt(maker) || !Array.isArray(args))
      this.refuse('a whitelisted name and its arguments', typeof maker)
    this.stack.push({ made: maker.made, args, state: null } satisfies Built)
  }

  private toMark(): unknown[] {
    const from = this.stack.lastIndexOf(mark)
    if (from < 0) this.refuse('a mark', 'none')
    return this.stack.splice(from).slice(1)
  }

  private pop(): unknown {
    if (this.stack.length === 0) this.refuse('a value', 'an empty stack')
    return this.stack.pop()
  }

  /** Takes the value below the top one. */
  private under(): unknown {
    if (this.stack.length < 2) this.refuse('two values', 'fewer')
    return this.stack.splice(-2, 1)[0]
  }

  private take(count: number): Buffer {
    if (this.at + count > this.bytes.length)
      this.refuse('a whole pickle', `an end at byte ${this.bytes.length}`)
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  private sized(width: 4 | 8): Buffer {
    const size = width === 4 ? this.take(4).readUInt32LE() : Number(this.take(8).readBigUInt64LE())
    if (size > largest) this.refuse('a value of less than 2 GiB', `${size} bytes`)
    return this.take(size)
  }

  private long(count: number): number {
    const bytes = this.take(count)
    return count > 6
      ? Number(bytes.length === 8 ? bytes.readBigInt64LE() : Number.NaN)
      : count === 0
        ? 0
        : bytes.readIntLE(0, count)
  }

  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at)
    const text = this.take((end < 0 ? this.bytes.length : end) - this.at).toString('utf8')
    this.take(1)
    return text
  }

  private refuse(expected: string, got: string): never {
    throw new ReasonrecError('RR_DATA_PICKLE', `${this.path}: this pickle is more than a data frame`, {
      expected,
      got,
      remedy: 'write it as Parquet where you trust it: pandas.read_pickle(IN).to_parquet(OUT)',
      file: this.path,
    })
  }
}
