/**
 * What a phase tells whoever watches it. The phases know only this face; src/report/progress.ts shows it
 * on a terminal, and `silentProgress` is for a library caller who wants no output.
 */

export interface ProgressSink {
  /** Begins a phase of `total` units ("instances", "steps", "tests"); ends the one before, if any. */
  start(phase: string, total: number, unit: string): void
  /** `done` more units and `tokens` more tokens since the last call (increments, not totals). */
  advance(done: number, tokens: number): void
  /** One line for a person: a fallback, a skipped update. Cleaned before it is printed. */
  note(text: string): void
  /** Ends the phase; a second call does nothing. Call it in a `finally`: the display holds a timer. */
  end(): void
}

export const silentProgress: ProgressSink = { start() {}, advance() {}, note() {}, end() {} }
