/** One error shape in both languages: a code, what failed, what was expected, what came, and the way out. */

export interface ErrorDetails {
  readonly expected?: string
  readonly got?: string
  readonly remedy?: string
  readonly [key: string]: unknown
}

export class ReasonrecError extends Error {
  readonly code: string
  readonly details: ErrorDetails

  constructor(code: string, what: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(what, options)
    this.name = 'ReasonrecError'
    this.code = code
    this.details = details
  }

  /** The one line of contracts: `RR_CODE: what; expected; got; remedy`. */
  toLine(): string {
    const { expected, got, remedy } = this.details
    const parts = [this.message]
    if (expected) parts.push(`expected ${expected}`)
    if (got) parts.push(`got ${got}`)
    if (remedy) parts.push(remedy)
    return `${this.code}: ${parts.join('; ')}`.replace(/\s*\n\s*/g, ' ')
  }
}

/** Exit statuses by family of code; the rest of a family's codes share its status. */
const exitStatusByCode: readonly (readonly [RegExp, number])[] = [
  [/^RR_(USAGE|CONFIG|UNKNOWN_KEY|OUTPUT|WRITE_FAILED)/, 2],
  [/^RR_PLAN/, 3],
  [/^RR_DATA|^RR_NO_/, 4],
  [/^RR_(TEACHER|JUDGE)/, 5],
  [/^RR_(NUMERIC|NON_FINITE_LOSS)/, 11],
  [/^RR_(OUT_OF_MEMORY|MEMORY)/, 12],
  [/^RR_(ISA|DEVICE|ADDON)/, 13],
  [/^RR_/, 10],
]

export function exitStatus(error: unknown): number {
  if (!(error instanceof ReasonrecError)) return 1
  return exitStatusByCode.find(([pattern]) => pattern.test(error.code))?.[1] ?? 1
}

/** Gives an error thrown by the addon the shape of ReasonrecError; leaves others alone. */
export function fromNative(error: unknown): unknown {
  if (error instanceof ReasonrecError || !(error instanceof Error)) return error
  const { code, expected, got, remedy } = error as Error &
    Partial<Record<'code' | 'expected' | 'got' | 'remedy', string>>
  if (!code?.startsWith('RR_')) return error
  return new ReasonrecError(
    code,
    error.message,
    { ...(expected && { expected }), ...(got && { got }), ...(remedy && { remedy }) },
    { cause: error },
  )
}
