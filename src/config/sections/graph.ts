/** The user-item graph and the chains that are drawn from it (R2Rec). */

import { z } from 'zod'
import { count, key } from '../key.js'

export const graph = z
  .strictObject({
    weights: key(
      z.enum(['faithful', 'tuned']).default('faithful'),
      'How the other users of a chain are drawn: all who allow one alike, or by overlap and agreement of ratings with recent items preferred.',
    ),
    form: key(
      z.enum(['closed', 'open']).default('closed'),
      'closed: both items are shared; open: the second one is an item the user does not have (an ablation).',
    ),
    fall_back: key(
      z.boolean().default(true),
      'Open chains for users who share no two items with anybody; false leaves them without chains.',
    ),
    middles: key(
      count().max(8).default(1),
      'Users between the start and the end of a chain; only 1 is attested, more cost prompt length.',
      { unit: 'users' },
    ),
    among: key(
      z.enum(['shown', 'known']).default('known'),
      'Items of the user that chains go over: the history shown in the prompt, or all that lies before the target. Fewer items leave more users without a chain.',
    ),
  })
  .prefault({})
