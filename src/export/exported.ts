/** What an export says of itself: `reasonrec export ... --json`. */

import type { FloatType } from './floats.js'
import type { Rounding } from './merged.js'
import type { WrittenFile } from './tensor-file.js'
import type { Verification } from './verify.js'

export interface Exported {
  readonly kind: 'peft' | 'merged' | 'gguf-lora'
  readonly dtype: FloatType
  readonly files: readonly WrittenFile[]
  readonly verified: Verification
  /** Null: nothing was rounded. */
  readonly rounding: Rounding | null
}
