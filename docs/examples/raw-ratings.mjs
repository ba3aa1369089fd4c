/**
 * Raw material for the tutorial: two CSV files as a shop might hand them over, made from the project's synthetic world.
 *   node docs/examples/raw-ratings.mjs FOLDER
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configSchema, openDataset } from 'reasonrec'

const folder = process.argv[2] ?? 'raw'
const { items, userInteractions } = await openDataset(configSchema.parse({ data: { dir: 'embedded' } }))
const day = 86_400
const firstDay = 1_577_836_800 // 2020-01-01, seconds

const ratings = [...userInteractions].flatMap(([user, own]) =>
  own.map(({ item, rating, timestamp }) =>
    [`u${user}`, `a${item}`, rating, firstDay + (timestamp * 7 + (Number(user) % 7)) * day].join(','),
  ),
)
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'ratings.csv'), `user,item,rating,timestamp\n${ratings.join('\n')}\n`)
const titles = items.map(({ title }, item) => `a${item},"${title.text}"`)
writeFileSync(join(folder, 'items.csv'), `item,title\n${titles.join('\n')}\n`)
console.log(`${ratings.length} ratings of ${userInteractions.size} users, ${items.length} albums: ${folder}`)
