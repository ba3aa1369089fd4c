/**
 * Sentences of R2Rec's builtin teacher in the standard wording, by what builtin-teacher.ts has made sure of. `brief` ones serve
 * small models, whose prompts ask for few words.
 *   {title} {rating}   item and rating of the step's hop          {other}  the rating the step is compared with
 *   {who}              the step's user; at the closing step the one before       {whom}   the user of the step before
 *   {noun} {nouns}     what a title names                         {gap}    difference in words, "1 point"
 *   {amount}           "many", "several", "some" or "no" users    {answer} the rating that is foretold
 */

export interface Phrases {
  readonly full: readonly string[]
  readonly brief: readonly string[]
}

export const phrases = {
  /** The first step: u0's rating against the mean of u0's shown ones. */
  above: {
    full: [
      'u0 gave {title} {rating} of 5, more than u0 gives on average among the ratings shown here, so this is a {noun} that u0 really likes.',
      'With {rating} of 5 {title} stands above the mean of what u0 is shown to have rated, which marks it as a favourite of u0.',
    ],
    brief: ['With {rating} of 5 {title} is above what u0 gives on average.'],
  },
  below: {
    full: [
      'u0 gave {title} {rating} of 5, less than u0 gives on average among the ratings shown here, so {nouns} of this kind suit u0 less.',
      'With {rating} of 5 {title} stands below the mean of what u0 is shown to have rated, which says that u0 did not take to it much.',
    ],
    brief: ['With {rating} of 5 {title} is below what u0 gives on average.'],
  },
  average: {
    full: [
      'u0 gave {title} {rating} of 5, which is about what u0 gives on average among the ratings shown here, neither a favourite nor a failure.',
    ],
    brief: ['With {rating} of 5 {title} is about what u0 gives on average.'],
  },
  unrated: {
    full: ['u0 chose {title}, and what is shown here does not say how well u0 liked this {noun}.'],
    brief: ['u0 chose {title}, and no rating says how well u0 liked it.'],
  },
  /** Another user's rating of the same item. */
  agree: {
    full: [
      '{who} gave {title} {rating} of 5, no more than one point from the {other} of {whom}, so the two of them agree on this {noun}.',
      'On {title} {who} comes to {rating} of 5 and {whom} to {other}, which is close, so {who} is a fair guide to the taste of {whom}.',
    ],
    brief: ['With {rating} of 5 for {title} {who} agrees with {whom}.'],
  },
  differ: {
    full: [
      '{who} gave {title} {rating} of 5, which is {gap} away from the {other} of {whom}, so the two of them differ on this {noun}.',
      'On {title} {who} comes to {rating} of 5 and {whom} to {other}, {gap} apart, so what {who} likes has to be taken with care.',
    ],
    brief: ['With {rating} of 5 for {title} {who} is {gap} away from {whom}.'],
  },
  shared: {
    full: [
      '{who} chose {title} as well, so the two of them share at least this one {noun} in what they took.',
    ],
    brief: ['{who} chose {title} as well.'],
  },
  /** Another user's next item, against the one before it. */
  more: {
    full: [
      '{who} gave {title} {rating} of 5, more than the {noun} before it, and {amount} other users have taken both of these {nouns} as well.',
    ],
    brief: ['{who} gave {title} {rating} of 5, more than before, and {amount} others took both.'],
  },
  less: {
    full: [
      '{who} gave {title} {rating} of 5, less than the {noun} before it, and {amount} other users have taken both of these {nouns} as well.',
    ],
    brief: ['{who} gave {title} {rating} of 5, less than before, and {amount} others took both.'],
  },
  same: {
    full: [
      '{who} gave {title} {rating} of 5, the same as the {noun} before it, and {amount} other users have taken both of these {nouns} as well.',
    ],
    brief: ['{who} gave {title} {rating} of 5, the same as before, and {amount} others took both.'],
  },
  next: {
    full: ['{who} went on to {title}, and {amount} other users have taken both of these {nouns} as well.'],
    brief: ['{who} went on to {title}, and {amount} others took both.'],
  },
  /** The last step. */
  rating: {
    full: [
      'Carried over to u0, who is read here by the steps before, {title} comes to about {answer} of 5 in the end.',
      'Taking the taste of u0 and the rating of {who} together, {title} should stand at {answer} of 5 with u0.',
    ],
    brief: ['Carried over to u0, {title} comes to about {answer} of 5.'],
  },
  ranking: {
    full: [
      'u0 also took {title}, so the options that other users took beside these {nouns} come first, and the one they took most often leads.',
    ],
    brief: ['u0 also took {title}, so what others took beside these comes first.'],
  },
} as const satisfies Readonly<Record<string, Phrases>>

export type Situation = keyof typeof phrases
