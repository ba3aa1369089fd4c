/** Counts over reasoning text that gates and reward terms share. Words are those of data/title.ts: folded letters and digits. */

import { words } from '../data/title.js'

/** Share of n-grams that repeat an earlier one: 1 - distinct / total; 0 for texts shorter than n words. */
export function repeatedShare(spoken: readonly string[], n = 4): number {
  const total = spoken.length - n + 1
  if (total < 1) return 0
  const distinct = new Set(
    Array.from({ length: total }, (_, start) => spoken.slice(start, start + n).join(' ')),
  )
  return 1 - distinct.size / total
}

/** Sentences as their words, empty ones left out. A period inside a title splits too; it splits every time alike. */
export function sentences(text: string): string[] {
  return text
    .split(/(?<=[.!?])\s+|\n+/u)
    .map((sentence) => words(sentence).join(' '))
    .filter((sentence) => sentence !== '')
}

/** The first sentence of at least four words that occurs twice; null if there is none. */
export function doubledSentence(text: string): string | null {
  const seen = new Set<string>()
  for (const sentence of sentences(text)) {
    if (seen.has(sentence) && sentence.split(' ').length >= 4) return sentence
    seen.add(sentence)
  }
  return null
}

/** The first phrase (words separated by blanks) that occurs in the text as whole words; null if none does. */
export function containedPhrase(spoken: readonly string[], phrases: readonly string[]): string | null {
  const text = ` ${spoken.join(' ')} `
  return phrases.find((phrase) => text.includes(` ${words(phrase).join(' ')} `)) ?? null
}

/** Share of a-z among all letters; 1 for a text without letters. */
export function asciiLetterShare(text: string): number {
  const letters = text.match(/\p{L}/gu) ?? []
  return letters.length === 0
    ? 1
    : letters.filter((letter) => /[A-Za-z]/.test(letter)).length / letters.length
}

/** Lines of a phrase file: no comments, no empty lines. */
export function phraseList(file: string): string[] {
  return file
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
