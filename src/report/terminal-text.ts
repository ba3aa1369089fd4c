/**
 * Text from outside (titles, what a model wrote) made safe for a terminal: escape sequences, control,
 * bidi and zero-width characters go, so that nothing printed can move the cursor, recolour the screen,
 * set the window title or write to the clipboard.
 */

// ESC or a C1 introducer, then the sequence it starts: OSC/DCS/SOS/PM/APC up to its terminator, CSI up
// to its final byte, or one following byte. What is left of a broken sequence is plain text.
const esc = '\u001b'
const stringOpen = `(?:${esc}[\\]PX^_]|[\u009d\u0090\u0098\u009e\u009f])`
const stringClose = `(?:\u0007|${esc}\\\\|\u009c)`
const stringSequence = new RegExp(`${stringOpen}[^\u0007${esc}\u009c]*${stringClose}`, 'gu')
const controlSequence = new RegExp(`(?:${esc}\\[|\u009b)[0-?]*[ -/]*[@-~]`, 'gu')
const shortSequence = new RegExp(`${esc}[ -/]*[0-~]`, 'gu')
const invisible = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu

/** One line: sequences and invisible characters removed, white space folded to single spaces. */
export function terminalLine(raw: string): string {
  return strip(raw).replace(/\s+/gu, ' ').replace(invisible, '').trim()
}

/** Several lines: as terminalLine, but line breaks are kept (at most one empty line in a row). */
export function terminalText(raw: string): string {
  return strip(raw)
    .split(/\r\n|[\n\r\u2028\u2029\u0085]/u)
    .map((line) => line.replace(/\t/gu, '  ').replace(invisible, '').trimEnd())
    .join('\n')
    .replace(/\n{3,}/gu, '\n\n')
    .trim()
}

/** At most `width` characters, an ellipsis for what was cut. */
export function shortened(text: string, width: number): string {
  const characters = [...text]
  return characters.length <= width
    ? text
    : `${characters
        .slice(0, Math.max(0, width - 1))
        .join('')
        .trimEnd()}…`
}

/** Words in lines of at most 110 characters, each behind `indent` blanks. */
export function wrapped(text: string, indent: number): string {
  const lines = ['']
  for (const word of terminalLine(text).split(' ')) {
    const last = lines.at(-1) ?? ''
    if (last === '') lines[lines.length - 1] = word
    else if (indent + last.length + 1 + word.length > 110) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.map((line) => ' '.repeat(indent) + line).join('\n')
}

function strip(raw: string): string {
  return raw.replace(stringSequence, '').replace(controlSequence, '').replace(shortSequence, '')
}
