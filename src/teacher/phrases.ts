/**
 * Sentences of the builtin teacher. Each says something that its condition in builtin.ts has made sure of:
 *   {first} {last}  oldest and newest title of the history       {anchor} {second}  history titles that other users
 *   {pick}          the chosen candidate                          chose together with the pick, strongest first
 *   {noun} {nouns}  what a title names                            {amount} {second_amount}  "many", "several", "some"
 *   {word}          a word that the pick's title shares with {anchor}
 * No sentence uses a title twice, and a text is made so that no two of its sentences use the same one.
 */

export const openings = [
  'This history runs from {first} to {last}, and the choices in between keep to a taste of their own.',
  'The shown choices start with {first} and have come to {last} by now, so the recent ones deserve the most weight.',
  'From {first} to {last}, the order of these choices shows where this taste is heading.',
  'Reading the history in order, it opens with {first} and its newest entry is {last}.',
  'Two ends mark this history: {first} at the start and {last} as the latest choice.',
  'The shown path of this user leads from {first} to {last}, which sets the frame for what may follow.',
] as const

/** Where the oldest or newest title is long, foreign, or needed elsewhere. */
export const openingsLast = [
  'The newest choice in this history is {last}, and what a user chose last usually says most.',
  'This user has just chosen {last}, after a row of earlier {nouns}.',
  'Right now the history ends with {last}, so that is where the next step starts.',
  'The latest entry, {last}, tells where the interest of this user lies at the moment.',
] as const

export const openingsPlain = [
  'The order of the history shows a user who keeps to a few kinds of {nouns} and adds to them step by step.',
  'Taken together, the earlier choices of this user describe a taste, and the newest of them count most.',
  'This history is a row of {nouns} chosen one after another, so the next one should continue it.',
  'The earlier choices set the direction here, and an option that others chose beside them is the likely next step.',
] as const

export const profilesPopular = [
  'Most of these {nouns} are widely chosen ones.',
  'On the whole this user goes for {nouns} that many others choose as well.',
  'The history leans to well known {nouns}.',
] as const

export const profilesRare = [
  'Most of these {nouns} are not among the widely chosen ones.',
  'On the whole this user does not keep to the {nouns} that most others choose.',
  'The history looks past the most chosen {nouns}.',
] as const

export const profilesMixed = [
  'Widely and less widely chosen {nouns} stand side by side in it.',
  'It mixes {nouns} from the top of the list with less chosen ones.',
] as const

export const evidenceTwo = [
  'Among other users, {amount} who chose {anchor} also chose {pick}, and {second_amount} of those with {second} did too.',
  'Both {anchor} and {second} are shared with users who took {pick} as well.',
  'Looking at other users, {pick} goes together with {anchor} and with {second}.',
  'Other people with {anchor} and others with {second} in their own lists have {pick} there too.',
] as const

export const evidenceOne = [
  'Among other users, {amount} who chose {anchor} also chose {pick}.',
  'Other people who have {anchor} in their lists have {pick} there too.',
  'Looking at other users, {pick} goes together with {anchor} most clearly.',
  'The strongest tie is {anchor}: {amount} of the others who chose it took {pick} as well.',
] as const

export const evidenceWord = [
  'Its title shares the word {word} with an earlier choice, {anchor}, which makes {pick} a natural step.',
  'An earlier choice, {anchor}, has the word {word} in common with {pick}.',
] as const

export const evidenceNone = [
  'Other histories give no direct tie between these choices and {pick}, so it would be a step to something new.',
  'No other user ties {pick} to these choices, which makes it a careful guess and a change of direction.',
  'As far as other users show, {pick} stands apart from these choices and would widen the taste.',
] as const

export const conclusionsFirst = [
  'No other option is tied to this history as often by other users.',
  'Other users tie it to this history more often than any other option.',
  'Of all the options it is the one that others combine with these choices most.',
  'The other options turn up less often beside these choices.',
] as const

export const conclusionsNear = [
  'It is among the options that others combine most with this history, so I would pick it.',
  'Only a few options turn up more often beside these choices, and it continues them well.',
  'That puts it near the top of the options for this user.',
] as const

export const conclusionsPopular = [
  'It is also one of the most chosen {nouns}, which makes it a safe step.',
  'As one of the most chosen {nouns} it is a reasonable next step.',
] as const

export const conclusionsPlain = [
  'So this is the option I would try next.',
  'That makes it a plausible next choice for this user.',
  'I would therefore go with it here.',
  'On balance it is a fair next step.',
] as const
