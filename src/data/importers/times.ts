/**
 * Times of the field's files as Unix seconds: numbers in seconds, milli-, micro- or nanoseconds (the unit is found from
 * the largest value), ISO dates, and the long dates of Goodreads and MIND. A date without a zone is read as UTC: only
 * order and distances count. Numbers that are no larger than the number of rows are positions, not times.
 */

import { ReasonrecError } from '../../engine/errors.js'

export type TimeUnit = 's' | 'ms' | 'us' | 'ns'

/** From this value on a number is in the unit, if it is a date between 1973 and 5138. */
const leastOf: readonly (readonly [TimeUnit, number, number])[] = [
  ['ns', 1e17, 1e9],
  ['us', 1e14, 1e6],
  ['ms', 1e11, 1e3],
  ['s', 1e8, 1],
]

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const iso = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\s*(Z|UTC|[+-]\d\d:?\d\d)?$/
const american = /^(\d{1,2})\/(\d{1,2})\/(\d{4})(?:\s+(\d{1,2}):(\d\d)(?::(\d\d))?\s*([AP]M)?)?$/i
const long = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d) ([+-]\d{4}) (\d{4})$/

/** Unix seconds of a date, or the number as it stands; NaN for what is neither. */
export function timeOf(cell: string): number {
  const text = cell.trim()
  if (text === '') return Number.NaN
  const number = Number(text)
  if (!Number.isNaN(number)) return number
  const [, date, clock = '00:00:00', zone = 'Z'] = iso.exec(text) ?? []
  if (date)
    return (
      Date.parse(`${date}T${clock}${zone === 'UTC' ? 'Z' : zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')}`) /
      1000
    )
  return longDate(text)
}

function longDate(text: string): number {
  const [, month, day, clock, zone, year] = long.exec(text) ?? []
  if (month && day && zone) {
    const number = months.indexOf(month.toLowerCase()) + 1
    const date = `${year}-${String(number).padStart(2, '0')}-${day.padStart(2, '0')}`
    return Date.parse(`${date}T${clock}${zone.slice(0, 3)}:${zone.slice(3)}`) / 1000
  }
  const [whole, m, d, y, hour = '0', minute = '0', second = '0', half] = american.exec(text) ?? []
  if (!whole) return Number.NaN
  const hours = half ? (Number(hour) % 12) + (half.toLowerCase() === 'pm' ? 12 : 0) : Number(hour)
  return Date.UTC(Number(y), Number(m) - 1, Number(d), hours, Number(minute), Number(second)) / 1000
}

/** Whether the numbers are real times: positions reach at most the number of rows. */
export function areTimes(times: Float64Array): boolean {
  return times.some((time) => time > times.length || time % 1 !== 0)
}

/**
 * Divides the times into seconds, in place, and names their unit; null where they are positions.
 * @throws RR_DATA_TIME_UNIT where two units stand in one column
 */
export function toSeconds(
  times: Float64Array,
  given: TimeUnit | null,
  place: (row: number) => string,
): TimeUnit | null {
  if (!areTimes(times)) return null
  const unit = given ?? unitOf(times, place)
  const divisor = leastOf.find(([name]) => name === unit)?.[2] ?? 1
  if (divisor > 1) for (let row = 0; row < times.length; row++) times[row] = (times[row] as number) / divisor
  return unit
}

function unitOf(times: Float64Array, place: (row: number) => string): TimeUnit {
  let largest = 0
  for (const time of times) largest = Math.max(largest, time)
  const [unit, least] = leastOf.find(([, from]) => largest >= from) ?? (['s', 0, 1] as const)
  // A value that is a date in a smaller unit and falls into the first weeks of 1970 in this one is of another unit.
  const mixed = unit === 's' ? -1 : times.findIndex((time) => time >= 1e8 && time < least / 10)
  if (mixed >= 0)
    throw new ReasonrecError('RR_DATA_TIME_UNIT', `${place(mixed)}: times in more than one unit`, {
      expected: `times in ${unit}, as the largest, ${largest}`,
      got: String(times[mixed]),
      remedy: 'write all times in one unit, or name it with --time-unit',
    })
  return unit
}
