/**
 * HTML by a tagged template that escapes every value put into it; only what is itself Html passes as it
 * is. So text from outside cannot become markup by being forgotten.
 */

const brand: unique symbol = Symbol('html')

export interface Html {
  readonly [brand]: true
  readonly markup: string
}

type Value = Html | string | number | false | null | undefined | readonly Value[]

export function html(pieces: TemplateStringsArray, ...values: readonly Value[]): Html {
  return trusted(
    pieces.map((piece, place) => piece + (place < values.length ? markupOf(values[place]) : '')).join(''),
  )
}

/** Marks markup made by the project itself (a style sheet, an SVG of our own figures). Never for outside text. */
export function trusted(markup: string): Html {
  return { [brand]: true, markup }
}

function markupOf(value: Value): string {
  if (value === null || value === undefined || value === false) return ''
  if (typeof value === 'string' || typeof value === 'number') return escapeHtml(String(value))
  if (isList(value)) return value.map(markupOf).join('')
  return value.markup
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Escapes markup; drops control and bidi characters, which could hide or reorder text. */
export function escapeHtml(text: string): string {
  return withoutControls(text).replace(/[&<>"']/g, (character) => entities[character]!)
}

/** Keeps line breaks and tabs; everything else that cannot be seen goes. */
export function withoutControls(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu, (character) =>
      character === '\n' || character === '\t' ? character : '',
    )
}
