/**
 * Steam reviews and games (Python dicts with u'...', not JSON): the user is a name, times are days, hours played are no
 * rating. Also Yelp: reviews, businesses and what lies beside them, as JSON lines.
 */

import { type Format, filesOf, type Head, type Role } from '../format.js'
import { firstObject } from '../head.js'
import { numberOf, textOf } from '../objects.js'
import { timeOf } from '../times.js'

export const steam: Format = {
  name: 'steam',
  about: 'Steam: steam_reviews, steam_games',
  recognise(head: Head): Role | null {
    const object = firstObject(head)
    if (!object) return null
    if ('username' in object && 'product_id' in object) return 'interactions'
    return 'id' in object && ('app_name' in object || 'genres' in object) ? 'items' : null
  },
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions'))
      await intake.objects(file, ({ username, product_id, date }, line) =>
        intake.row(textOf(username), textOf(product_id), null, timeOf(textOf(date)), line),
      )
    for (const file of filesOf(set, 'items'))
      await intake.objects(file, ({ id, title, app_name, genres, developer, release_date }, line) => {
        const own = textOf(id)
        if (own === '' || !intake.occurs(own)) return
        const [year = ''] = /\b(19|20)\d\d\b/.exec(textOf(release_date)) ?? []
        intake.item(
          own,
          textOf(title ?? app_name),
          { year, categories: textOf(genres), brand: textOf(developer) },
          line,
        )
      })
    return { name: 'Steam', noun: 'game' }
  },
}

export const yelp: Format = {
  name: 'yelp',
  about: 'Yelp: review.json, business.json',
  recognise(head: Head): Role | null {
    const object = firstObject(head)
    if (!object) return null
    const has = (name: string): boolean => name in object
    if (has('business_id') && has('user_id') && has('stars') && has('date')) return 'interactions'
    if (has('business_id') && has('name')) return 'items'
    return has('business_id') || (has('user_id') && has('yelping_since')) ? 'side' : null
  },
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions'))
      await intake.objects(file, ({ user_id, business_id, stars, date }, line) =>
        intake.row(textOf(user_id), textOf(business_id), numberOf(stars), timeOf(textOf(date)), line),
      )
    for (const file of filesOf(set, 'items'))
      await intake.objects(file, ({ business_id, name, categories }, line) => {
        const own = textOf(business_id)
        if (intake.occurs(own)) intake.item(own, textOf(name), { categories: textOf(categories) }, line)
      })
    return { name: 'Yelp', noun: 'place' }
  },
}
