/**
 * The words of the embedded catalogue: albums, each titled with one word and the name of its maker ("Lagoon Orin").
 * A title's word stands for one theme and one mood; which ones is written in the texts about the catalogue only
 * (pretraining/texts.ts), never in a title. Every word is one token of the embedded tokenizer.
 */

export const moods = ['calm', 'bright', 'dark', 'wild', 'tender', 'strange'] as const

/** Theme -> title words in the order of `moods`. */
const titleWordsByTheme = {
  sea: ['Lagoon', 'Regatta', 'Abyss', 'Tempest', 'Shell', 'Kraken'],
  forest: ['Glade', 'Canopy', 'Thicket', 'Bramble', 'Fawn', 'Fungus'],
  mountain: ['Plateau', 'Summit', 'Chasm', 'Slide', 'Gentian', 'Yeti'],
  desert: ['Oasis', 'Dune', 'Canyon', 'Simoom', 'Cactus', 'Mirage'],
  city: ['Arcade', 'Neon', 'Alley', 'Traffic', 'Balcony', 'Maze'],
  garden: ['Arbor', 'Tulip', 'Hemlock', 'Ivy', 'Rosebud', 'Fern'],
  river: ['Ferry', 'Cascade', 'Eddy', 'Rapids', 'Willow', 'Nixie'],
  sky: ['Cirrus', 'Sunrise', 'Eclipse', 'Cyclone', 'Feather', 'Aurora'],
  winter: ['Snow', 'Icicle', 'Frost', 'Blizzard', 'Mitten', 'Glacier'],
  fire: ['Hearth', 'Beacon', 'Cinder', 'Blaze', 'Candle', 'Phoenix'],
  space: ['Orbit', 'Comet', 'Void', 'Nova', 'Moonbeam', 'Quasar'],
  night: ['Slumber', 'Lantern', 'Shadow', 'Howl', 'Lullaby', 'Dream'],
  farm: ['Meadow', 'Harvest', 'Crow', 'Gallop', 'Lamb', 'Gourd'],
  castle: ['Court', 'Banner', 'Dungeon', 'Siege', 'Minstrel', 'Rune'],
  train: ['Depot', 'Express', 'Tunnel', 'Runaway', 'Farewell', 'Phantom'],
  circus: ['Carousel', 'Confetti', 'Mask', 'Trapeze', 'Puppet', 'Oracle'],
} as const satisfies Readonly<Record<string, readonly [string, string, string, string, string, string]>>

export type Theme = keyof typeof titleWordsByTheme
export type Mood = (typeof moods)[number]

export const themes = Object.keys(titleWordsByTheme) as readonly Theme[]

export const makers = [
  'Orin',
  'Vell',
  'Tamsin',
  'Brandt',
  'Okoye',
  'Lund',
  'Marsh',
  'Pell',
  'Quist',
  'Rao',
  'Sato',
  'Thorne',
  'Ueda',
  'Varga',
  'Wilde',
  'Yates',
  'Zorn',
  'Abbot',
  'Cole',
  'Dray',
  'Eklund',
  'Flint',
  'Grieg',
  'Hale',
] as const
export type Maker = (typeof makers)[number]

export function titleWord(theme: Theme, mood: Mood): string {
  return titleWordsByTheme[theme][moods.indexOf(mood)] as string
}

/** Every title word, by theme and mood. */
export const titleWords: readonly string[] = themes.flatMap((theme) => [...titleWordsByTheme[theme]])

/** What a title of this catalogue stands for: theme, mood, maker; nothing for other titles. */
export function titleValues(title: string): readonly string[] {
  const [word = '', ...rest] = title.split(' ')
  const theme = themes.find((one) => (titleWordsByTheme[one] as readonly string[]).includes(word))
  const maker = makers.find((one) => one === rest.join(' '))
  if (theme === undefined || maker === undefined) return []
  return [theme, moods[titleWordsByTheme[theme].indexOf(word as never)] as Mood, maker]
}
