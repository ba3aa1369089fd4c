/**
 * From a prompt to messages, and from an answer back to the method's tags.
 *
 *   titles   stand between <nonce> and </nonce>. The nonce is a hash of the whole prompt, so no title can close its own
 *            mark, and the same prompt is the same request in every sitting; marks that a model copies are taken out.
 *   answers  come as JSON {think, answer}, in tags, or with the thinking in reasoning_content because the server's parser
 *            took our tags for a reasoning model's own. A reasoning model's own thoughts before an answer in our
 *            form are not the explanation that was asked for, and are left out.
 */

import { createHash } from 'node:crypto'
import type { Prompt, PromptPart } from '../../prompts/prompt.js'
import { fillTemplate, loadTemplate } from '../../prompts/template.js'
import { type AnswerSchema, type ChatChoice, type ChatMessage, promptTokens } from './chat.js'

const markedTitles = loadTemplate(new URL('./prompts/marked-titles.txt', import.meta.url))
const jsonForm = loadTemplate(new URL('./prompts/json-form.txt', import.meta.url))

/** Of an answer in the form <think>...</think><answer>...</answer>. */
export const taggedSchema: AnswerSchema = {
  name: 'explained_answer',
  schema: {
    type: 'object',
    properties: { think: { type: 'string' }, answer: { type: 'string' } },
    required: ['think', 'answer'],
    additionalProperties: false,
  },
}

export interface MarkedPrompt {
  readonly messages: readonly ChatMessage[]
  readonly nonce: string
}

export function markedPrompt(prompt: Prompt, asJson: boolean): MarkedPrompt {
  const nonce = nonceOf(prompt)
  const text = (parts: readonly PromptPart[]): string =>
    parts.map((part) => (typeof part === 'string' ? part : `<${nonce}>${part.text}</${nonce}>`)).join('')
  const messages = prompt.messages.map(({ role, parts }) => ({ role, content: text(parts) }))
  const rule = noteText(markedTitles, { nonce })
  const form = noteText(jsonForm, { object: '{"think": "explanation", "answer": "answer"}' })
  const first = messages[0]
  const ruled: ChatMessage[] =
    first?.role === 'system'
      ? [{ role: 'system', content: `${first.content}\n${rule}` }, ...messages.slice(1)]
      : [{ role: 'system', content: rule }, ...messages]
  if (!asJson) return { messages: ruled, nonce }
  const last = ruled.at(-1) as ChatMessage
  return { messages: [...ruled.slice(0, -1), { ...last, content: `${last.content}\n${form}` }], nonce }
}

/** Mean over prompts, rough. */
export function askedTokens(prompts: readonly Prompt[], asJson: boolean): number {
  const tokens = prompts.map((prompt) => promptTokens(markedPrompt(prompt, asJson).messages))
  return tokens.reduce((sum, one) => sum + one, 0) / Math.max(1, tokens.length)
}

/** 48 bits that nobody knows who writes a title; none that stands in the prompt. */
function nonceOf(prompt: Prompt): string {
  const whole = JSON.stringify(
    prompt.messages.map(({ role, parts }) => [
      role,
      parts.map((part) => (typeof part === 'string' ? part : [part.text])),
    ]),
  )
  for (let count = 0; ; count++) {
    const nonce = `t${createHash('sha256').update(`${count} ${whole}`).digest('hex').slice(0, 12)}`
    if (!whole.includes(nonce)) return nonce
  }
}

export function withoutMarks(text: string, nonce: string): string {
  return text.replaceAll(`<${nonce}>`, '').replaceAll(`</${nonce}>`, '')
}

const inTags = /<think>((?:(?!<think>)[\s\S])*?)<\/think>\s*<answer>([\s\S]*?)<\/answer>\s*$/
const answerAlone = /^(?:[\s\S]*<\/think>)?\s*<answer>([\s\S]*?)<\/answer>\s*$/

/** "<think>...</think><answer>...</answer>"; null where the answer has neither this form nor one that stands for it. */
export function taggedText({ text, reasoning }: Pick<ChatChoice, 'text' | 'reasoning'>): string | null {
  const object = jsonObject(text)
  if (object) return tagged(object.think || reasoning, object.answer)
  const both = inTags.exec(text)
  if (both) return tagged(both[1] ?? '', both[2] ?? '')
  const alone = answerAlone.exec(text)
  return alone ? tagged(reasoning, alone[1] ?? '') : null
}

function tagged(think: string | null, answer: string): string | null {
  if (!think?.trim() || answer.trim() === '') return null
  return `<think>${think.trim()}</think><answer>${answer.trim()}</answer>`
}

/** Also within a fence of code. */
function jsonObject(text: string): { readonly think: string; readonly answer: string } | null {
  const body = /^\s*(?:```(?:json)?\s*)?(\{[\s\S]*\})\s*(?:```)?\s*$/.exec(text)?.[1]
  if (body === undefined) return null
  try {
    const { think = '', answer } = JSON.parse(body) as { readonly think?: unknown; readonly answer?: unknown }
    const said = typeof answer === 'number' ? String(answer) : answer
    return typeof think === 'string' && typeof said === 'string' ? { think, answer: said } : null
  } catch {
    return null
  }
}

function noteText(template: typeof markedTitles, values: Readonly<Record<string, string>>): string {
  const parts = fillTemplate(template, values).messages[0]?.parts ?? []
  return parts.filter((part) => typeof part === 'string').join('')
}
