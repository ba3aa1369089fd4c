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
