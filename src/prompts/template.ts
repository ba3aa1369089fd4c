/**
 * Prompt templates are data files:
 *   # a line of comment
 *   [system]
 *   text with {placeholders}
 *   [user]
 *   ...
 * Text of a file is trusted; what fills a placeholder is a part or a list of parts and stays what it is, so a
 * title never turns into trusted text. A line that consists of one placeholder with nothing to fill in
 * disappears with its line break.
 */

import { readFileSync } from 'node:fs'
import { ReasonrecError } from '../engine/errors.js'
import type { Message, Prompt, PromptPart } from './prompt.js'

export type TemplateValues = Readonly<Record<string, PromptPart | readonly PromptPart[]>>

interface Section {
  readonly role: Message['role']
  readonly lines: readonly string[]
}

export interface PromptTemplate {
  readonly name: string
  readonly sections: readonly Section[]
  readonly placeholders: ReadonlySet<string>
}

const placeholder = /\{([A-Za-z_]+)\}/g

/** `url`: file beside the module that uses it, `new URL('./prompts/reason.txt', import.meta.url)`. */
export function loadTemplate(url: URL): PromptTemplate {
  const name = url.pathname.split('/').at(-1) ?? url.pathname
  return parseTemplate(name, readFileSync(url, 'utf8'))
}

export function parseTemplate(name: string, text: string): PromptTemplate {
  const sections: { role: Message['role']; lines: string[] }[] = []
  for (const line of text.replace(/\r\n?/g, '\n').split('\n')) {
    if (line.startsWith('#')) continue
    const role = /^\[(system|user|assistant)\]$/.exec(line.trim())?.[1]
    if (role) sections.push({ role: role as Message['role'], lines: [] })
    else if (sections.length > 0) sections.at(-1)?.lines.push(line)
    else if (line.trim() !== '') throw broken(name, 'text before the first [system] or [user]')
  }
  if (sections.length === 0) throw broken(name, 'no [system] or [user] section')
  for (const { role, lines } of sections) {
    while (lines.length > 0 && lines.at(-1)?.trim() === '') lines.pop()
    while (lines.length > 0 && lines[0]?.trim() === '') lines.shift()
    if (lines.length === 0) throw broken(name, `nothing under [${role}]`)
  }
  const body = sections.flatMap(({ lines }) => lines).join('\n')
  return {
    name,
    sections,
    placeholders: new Set([...body.matchAll(placeholder)].map((match) => match[1] as string)),
  }
}

/** Throws RR_TEMPLATE_PLACEHOLDER where the file asks for a value that is not given. */
export function fillTemplate(template: PromptTemplate, values: TemplateValues): Prompt {
  const unknown = [...template.placeholders].find((name) => !Object.hasOwn(values, name))
  if (unknown !== undefined) {
    throw new ReasonrecError('RR_TEMPLATE_PLACEHOLDER', `${template.name} uses {${unknown}}`, {
      expected: Object.keys(values)
        .map((name) => `{${name}}`)
        .join(' '),
      got: `{${unknown}}`,
      remedy: 'correct the prompt file',
    })
  }
  return {
    messages: template.sections.map(({ role, lines }) => ({ role, parts: filledLines(lines, values) })),
  }
}

/** A block of lines for a placeholder: no line break after the last. */
export function lineParts(lines: readonly (readonly PromptPart[])[]): PromptPart[] {
  return lines.flatMap((line, index) => (index === 0 ? line : ['\n', ...line]))
}

function filledLines(lines: readonly string[], values: TemplateValues): PromptPart[] {
  const filled = lines.map((line) => filledLine(line, values)).filter((line) => line !== null)
  return joined(lineParts(filled))
}

function filledLine(line: string, values: TemplateValues): PromptPart[] | null {
  const alone = /^\{([A-Za-z_]+)\}$/.exec(line.trim())?.[1]
  if (alone !== undefined) {
    const parts = asParts(values[alone])
    return parts.length === 0 ? null : [...parts]
  }
  const parts: PromptPart[] = []
  let end = 0
  for (const match of line.matchAll(placeholder)) {
    parts.push(line.slice(end, match.index), ...asParts(values[match[1] as string]))
    end = match.index + match[0].length
  }
  return [...parts, line.slice(end)]
}

function asParts(value: PromptPart | readonly PromptPart[] | undefined): readonly PromptPart[] {
  const parts = value === undefined ? [] : isList(value) ? value : [value]
  return parts.filter((part) => part !== '')
}

function isList(value: PromptPart | readonly PromptPart[]): value is readonly PromptPart[] {
  return Array.isArray(value)
}

function joined(parts: readonly PromptPart[]): PromptPart[] {
  const result: PromptPart[] = []
  for (const part of parts) {
    const last = result.at(-1)
    if (part === '') continue
    if (typeof part === 'string' && typeof last === 'string') result[result.length - 1] = last + part
    else result.push(part)
  }
  return result
}

function broken(name: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_TEMPLATE_FILE', `the prompt file ${name} cannot be used`, {
    expected: 'sections [system] and [user] with text',
    got,
    remedy: 'correct the prompt file',
  })
}
