/**
 * Sentences of R2Rec's builtin teacher in the standard wording. Each says something that its condition in
 * builtin-teacher.ts has made sure of:
 *   {title} {rating}   item and rating of the step's hop          {other}  the rating the step is compared with
 *   {noun} {nouns}     what a title names                         {gap}    difference in words, "1 point"
 *   {amount}           "many", "several" or "some" other users    {answer} the rating that is foretold
 */

export const above = [
  'u0 gave {title} {rating} of 5, more than u0 gives on average among the ratings shown here, so this is a {noun} that u0 really likes.',
  'With {rating} of 5 {title} stands above the mean of what u0 is shown to have rated, which marks it as a favourite of u0.',
] as const

export const below = [
  'u0 gave {title} {rating} of 5, less than u0 gives on average among the ratings shown here, so {nouns} of this kind suit u0 less.',
  'With {rating} of 5 {title} stands below the mean of what u0 is shown to have rated, which says that u0 did not take to it much.',
] as const

export const average = [
  'u0 gave {title} {rating} of 5, which is about what u0 gives on average among the ratings shown here, neither a favourite nor a failure.',
] as const

export const unrated = [
  'u0 chose {title}, and what is shown here does not say how well u0 liked this {noun}.',
] as const

export const agree = [
  'u1 gave {title} {rating} of 5, no more than one point from the {other} of u0, so the two of them agree on this {noun}.',
  'On {title} u1 comes to {rating} of 5 and u0 to {other}, which is close, so u1 is a fair guide to the taste of u0.',
] as const

export const differ = [
  'u1 gave {title} {rating} of 5, which is {gap} away from the {other} of u0, so the two of them differ on this {noun}.',
  'On {title} u1 comes to {rating} of 5 and u0 to {other}, {gap} apart, so what u1 likes has to be taken with care.',
] as const

export const unknownBoth = [
  'u1 chose {title} as well, so the two of them share at least this one {noun} in what they took.',
] as const

export const nextMore = [
  'u1 gave {title} {rating} of 5, more than the {noun} before it, and {amount} other users have taken both of these {nouns} as well.',
] as const

export const nextLess = [
  'u1 gave {title} {rating} of 5, less than the {noun} before it, and {amount} other users have taken both of these {nouns} as well.',
] as const

export const nextSame = [
  'u1 gave {title} {rating} of 5, the same as the {noun} before it, and {amount} other users have taken both of these {nouns} as well.',
] as const

export const nextUnknown = [
  'u1 went on to {title}, and {amount} other users have taken both of these {nouns} as well.',
] as const

export const lastRating = [
  'Carried over to u0, who is read here by the steps before, {title} comes to about {answer} of 5 in the end.',
  'Taking the taste of u0 and the rating of u1 together, {title} should stand at {answer} of 5 with u0.',
] as const

export const lastRanking = [
  'u0 also took {title}, so the options that other users took beside these {nouns} come first, and the one they took most often leads.',
] as const
