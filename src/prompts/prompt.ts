/** A prompt is a list of messages made of parts: trusted strings (ours) and untrusted texts (titles). */

import type { UntrustedText } from './untrusted-text.js'

export type PromptPart = string | UntrustedText

export interface Message {
  readonly role: 'system' | 'user' | 'assistant'
  readonly parts: readonly PromptPart[]
}

export interface Prompt {
  readonly messages: readonly Message[]
}

/** For people: traces, samples, `recommend`. Never encode this; encode the parts. */
export function partsText(parts: readonly PromptPart[]): string {
  return parts.map((part) => (typeof part === 'string' ? part : part.text)).join('')
}

/** For people, like partsText. */
export function promptText(prompt: Prompt): string {
  return prompt.messages.map(({ role, parts }) => `[${role}]\n${partsText(parts)}`).join('\n')
}
