/** Every format, the particular ones first: the first that recognises a file takes it. */

import { ReasonrecError } from '../../engine/errors.js'
import { canonical } from './canonical.js'
import type { Format } from './format.js'
import { amazon } from './formats/amazon.js'
import { bookCrossing } from './formats/book-crossing.js'
import { generic } from './formats/generic.js'
import { goodbooks, goodreads } from './formats/goodreads.js'
import { sdpo, tallrec } from './formats/instructions.js'
import { hetrecLastfm, lastfm1k } from './formats/lastfm.js'
import { lcrec } from './formats/lcrec.js'
import { d3, minionerec } from './formats/literal-windows.js'
import { llara } from './formats/llara.js'
import { mind } from './formats/mind.js'
import { movielens } from './formats/movielens.js'
import { recbole } from './formats/recbole.js'
import { p5, s3rec, sasrec, tisasrec } from './formats/sequences.js'
import { steam, yelp } from './formats/steam.js'

export const formats: readonly Format[] = [
  canonical,
  recbole,
  movielens,
  amazon,
  goodreads,
  goodbooks,
  bookCrossing,
  steam,
  yelp,
  hetrecLastfm,
  lastfm1k,
  mind,
  minionerec,
  d3,
  sdpo,
  tallrec,
  llara,
  p5,
  s3rec,
  sasrec,
  tisasrec,
  lcrec,
  generic,
]

export function formatNamed(name: string): Format {
  const found = formats.find((format) => format.name === name)
  if (found) return found
  throw new ReasonrecError('RR_USAGE_FORMAT', `there is no format ${name}`, {
    expected: formats.map((format) => format.name).join(', '),
    got: name,
    remedy: 'leave --format out to let the content decide',
  })
}
