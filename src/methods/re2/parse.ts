/**
 * Reading a response (gate G1): exactly one <think>...</think> with text in it, then exactly one
 * <answer>...</answer>, in this order, white space around them, nothing else. The answer names an item only by
 * an equal normalised title (data/title.ts); nothing fuzzy.
 */

import type { Dataset, Instance } from '../../data/types.js'
import type { ParsedAnswer } from '../method.js'
import { itemNamed } from '../named-item.js'

const tags = ['<think>', '</think>', '<answer>', '</answer>'] as const
const frame = /^\s*<think>([\s\S]*)<\/think>\s*<answer>([\s\S]*)<\/answer>\s*$/

export function parseResponse(dataset: Dataset, instance: Instance, response: string): ParsedAnswer {
  const once = tags.every(
    (tag) => response.indexOf(tag) >= 0 && response.indexOf(tag) === response.lastIndexOf(tag),
  )
  const match = once ? frame.exec(response) : null
  const reasoning = match?.[1]?.trim() ?? ''
  const answer = match?.[2]?.trim() ?? ''
  if (reasoning === '' || answer === '') return { reasoning: null, answer: null, item: null }
  return { reasoning, answer, item: itemNamed(dataset, instance, answer) }
}
