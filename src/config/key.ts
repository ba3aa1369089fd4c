/** How a key of the configuration is written: a zod type with its default, one sentence on what changing it does, unit and symbol. */

import { z } from 'zod'

interface Meaning {
  readonly unit?: string
  readonly symbol?: string
}

export function key<T extends z.ZodType>(schema: T, consequence: string, meaning: Meaning = {}): T {
  return schema.meta({ description: consequence, ...meaning }) as T
}

export const count = (least = 1) => z.number().int().min(least)
export const share = () => z.number().min(0).max(1)
export const positive = () => z.number().positive()
export const orAll = (least = 1) => count(least).nullable()
