/**
 * LC-Rec: NAME.inter.json {user: [items, oldest first]}, NAME.item.json {item: {title, ...}}; NAME.user2id and
 * NAME.item2id (original TAB number) give the ids of the source back. Keys are text. Semantic ids (index.json) are not read.
 */

import { type Format, filesOf, type Head, type Role } from '../format.js'
import { everyLine } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'
import { readJson, textOf } from '../objects.js'

export const lcrec: Format = {
  name: 'lcrec',
  about: 'LC-Rec: inter.json, item.json, index.json',
  recognise(head: Head): Role | null {
    if (/\.(user2id|item2id)$/.test(head.name) && everyLine(head, /^[^\t]+\t\d+$/)) return 'map'
    const start = head.text.slice(0, 2000)
    if (/^\s*\{\s*"[^"]*"\s*:\s*\[\s*\d/.test(start)) return 'interactions'
    if (/^\s*\{\s*"[^"]*"\s*:\s*\[\s*"<[a-z]_\d+>"/.test(start)) return 'side'
    return /^\s*\{\s*"\d+"\s*:\s*\{\s*"(title|description|brand)"/.test(start) ? 'items' : null
  },
  async read(set, intake) {
    const users = await readMap(
      set.files.find(({ name }) => name.endsWith('.user2id')),
      intake,
    )
    const items = await readMap(
      set.files.find(({ name }) => name.endsWith('.item2id')),
      intake,
    )
    for (const file of filesOf(set, 'interactions')) {
      intake.file(file)
      for (const [user, own] of Object.entries(await objectOf(file))) {
        if (!Array.isArray(own))
          throw malformedLine(file.path, 1, `a list of items for user ${user}`, JSON.stringify(own))
        for (const item of own)
          intake.row(users.get(user) ?? user, items.get(String(item)) ?? String(item), null, null, 1)
      }
    }
    for (const file of filesOf(set, 'items')) {
      intake.file(file)
      for (const [id, value] of Object.entries(await objectOf(file))) {
        const { title, brand, categories } = (value ?? {}) as Record<string, unknown>
        intake.item(items.get(id) ?? id, textOf(title), {
          brand: textOf(brand),
          categories: textOf(categories),
        })
      }
    }
    return { name: set.name.replace(/\.inter$/, ''), wholeCatalogue: true }
  },
}

async function objectOf({ path }: Head): Promise<Record<string, unknown>> {
  const value = await readJson(path)
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw malformedLine(path, 1, 'one JSON object', JSON.stringify(value))
}

async function readMap(file: Head | undefined, intake: Intake): Promise<Map<string, string>> {
  const originals = new Map<string, string>()
  if (file)
    await intake.cells(
      file,
      { by: '\t', width: 2 },
      ([original = '', id = '']) => void originals.set(id.trim(), original),
    )
  return originals
}
