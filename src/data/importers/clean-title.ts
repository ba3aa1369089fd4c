/**
 * A title as a person reads it: HTML entities decoded (also twice encoded ones, and the few that may miss their
 * semicolon), HTML tags removed, white space folded, what shows nothing removed. A title that is a piece of a page's
 * script becomes the empty title. Cleaning a clean title changes nothing.
 */

import { untrusted } from '../../prompts/untrusted-text.js'

/** Named characters U+00A0 to U+00FF of HTML, in order. */
const latin1 = (
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro ' +
  'para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil ' +
  'Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave ' +
  'Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml ' +
  'igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute ' +
  'thorn yuml'
).split(' ')

const named = new Map<string, string>([
  ...latin1.map((name, index): [string, string] => [name, String.fromCodePoint(0xa0 + index)]),
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['ndash', '–'],
  ['mdash', '—'],
  ['lsquo', '‘'],
  ['rsquo', '’'],
  ['ldquo', '“'],
  ['rdquo', '”'],
  ['hellip', '…'],
  ['bull', '•'],
  ['trade', '™'],
  ['euro', '€'],
  ['OElig', 'Œ'],
  ['oelig', 'œ'],
  ['Scaron', 'Š'],
  ['scaron', 'š'],
])

const entity = /&(?:#(\d{1,7});|#[xX]([0-9a-fA-F]{1,6});|([a-zA-Z]\w{1,7});|(amp|lt|gt|quot|nbsp)(?![\w=;]))/g
// Only names of HTML: "<3" and "<answer>" are text.
const tag =
  /<\/?(?:a|abbr|b|big|blockquote|body|br|center|code|div|em|font|form|h[1-6]|head|hr|html|i|img|input|li|link|meta|ol|p|pre|s|small|span|strike|strong|sub|sup|table|tbody|td|th|title|tr|tt|u|ul)(?:\s[^<>]*)?\/?>/gi
const hidden = /<(script|style)\b[^>]*>.*?(?:<\/\1\s*>|$)|<!--.*?(?:-->|$)/gis
const script = /\bfunction\s*\w*\s*\(|\bvar\s+\w+\s*=|\bdocument\.|\{[^{}]*:[^{}]*;[^{}]*\}/

function decoded(text: string): string {
  return text.replace(entity, (whole, decimal?: string, hex?: string, name?: string, bare?: string) => {
    const point = decimal ? Number(decimal) : hex ? Number.parseInt(hex, 16) : null
    if (point !== null)
      return point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) ? String.fromCodePoint(point) : ''
    return named.get((name ?? bare) as string) ?? whole
  })
}

export function cleanTitle(raw: string): string {
  let text = raw
  if (/[&<]/.test(raw))
    for (let round = 0; round < 6; round++) {
      const next = decoded(text).replace(hidden, ' ').replace(tag, ' ')
      if (next === text) break
      text = next
    }
  const clean = untrusted(text).text
  return text !== raw && script.test(clean) ? '' : script.test(clean) && clean.length > 120 ? '' : clean
}
