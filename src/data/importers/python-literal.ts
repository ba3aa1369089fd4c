/**
 * Python literals as printed by repr: dicts, lists, tuples (read as lists), strings with u, b or r before them, numbers,
 * True, False, None. A recursive-descent reader over one text; nothing is evaluated. Amazon's metadata of 2014, Steam's
 * files and the lists in windows of several papers are written so, and a JSON reader fails on them.
 */

export type Literal =
  | string
  | number
  | boolean
  | null
  | readonly Literal[]
  | { readonly [key: string]: Literal }

const deepest = 200
const constants: Readonly<Record<string, boolean | null | number>> = {
  True: true,
  False: false,
  None: null,
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
}
const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  a: '\u0007',
  b: '\b',
  f: '\f',
  v: '\v',
  '\n': '',
}

/** @throws SyntaxError with the place of the fault. */
export function parsePython(text: string): Literal {
  const reader = new Reader(text)
  const value = reader.value(0)
  reader.end()
  return value
}

class Reader {
  private at = 0

  constructor(private readonly text: string) {}

  value(depth: number): Literal {
    this.space()
    if (depth > deepest) this.fail('fewer brackets inside each other')
    const mark = this.text[this.at]
    if (mark === '{') return this.dict(depth)
    if (mark === '[') return this.list(']', depth)
    if (mark === '(') return this.list(')', depth)
    const string = /^[uUbBrR]{0,2}(?=['"])/.exec(this.text.slice(this.at, this.at + 3))
    if (string) return this.string(string[0])
    return this.word()
  }

  end(): void {
    this.space()
    if (this.at < this.text.length) this.fail('the end')
  }

  private dict(depth: number): Literal {
    const entries: [string, Literal][] = []
    this.at++
    for (;;) {
      this.space()
      if (this.take('}')) return Object.fromEntries(entries)
      const key = this.value(depth + 1)
      this.space()
      if (!this.take(':')) this.fail(':')
      entries.push([typeof key === 'string' ? key : JSON.stringify(key), this.value(depth + 1)])
      this.space()
      if (!this.take(',') && this.text[this.at] !== '}') this.fail(', or }')
    }
  }

  private list(close: string, depth: number): Literal {
    const items: Literal[] = []
    this.at++
    for (;;) {
      this.space()
      if (this.take(close)) return items
      items.push(this.value(depth + 1))
      this.space()
      if (!this.take(',') && this.text[this.at] !== close) this.fail(`, or ${close}`)
    }
  }

  private string(prefix: string): string {
    this.at += prefix.length
    const raw = /r/i.test(prefix)
    const quote = this.text[this.at] as string
    const long = this.text.startsWith(quote.repeat(3), this.at) ? quote.repeat(3) : quote
    this.at += long.length
    let out = ''
    for (let start = this.at; ; ) {
      if (this.at >= this.text.length) this.fail(`the closing ${long}`)
      if (this.text.startsWith(long, this.at)) {
        out += this.text.slice(start, this.at)
        this.at += long.length
        return out
      }
      if (this.text[this.at] !== '\\') {
        this.at++
        continue
      }
      if (raw) {
        this.at += 2
        continue
      }
      out += this.text.slice(start, this.at) + this.escape()
      start = this.at
    }
  }

  private escape(): string {
    const rest = this.text.slice(this.at + 1, this.at + 10)
    const code = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([0-7]{1,3}))/i.exec(rest)
    if (code) {
      this.at += 1 + code[0].length
      const point = code[4]
        ? Number.parseInt(code[4], 8)
        : Number.parseInt(code[1] ?? code[2] ?? code[3] ?? '', 16)
      return point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd'
    }
    const mark = rest[0] ?? ''
    this.at += 1 + mark.length
    return escapes[mark] ?? (/['"\\]/.test(mark) ? mark : `\\${mark}`)
  }

  private word(): Literal {
    const word = /^[-+\w.]+/.exec(this.text.slice(this.at, this.at + 40))?.[0] ?? ''
    this.at += word.length
    if (Object.hasOwn(constants, word)) return constants[word] as Literal
    const number = Number(word.replace(/L$/, ''))
    if (word === '' || Number.isNaN(number)) this.fail('a value')
    return number
  }

  private take(mark: string): boolean {
    if (this.text[this.at] !== mark) return false
    this.at++
    return true
  }

  private space(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++
  }

  private fail(expected: string): never {
    throw new SyntaxError(`expected ${expected} at ${this.at}: ${this.text.slice(this.at, this.at + 20)}`)
  }
}
