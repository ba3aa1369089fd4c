/**
 * Is a judge to be believed? Every fault (faults.ts) is planted in reasonings of the run, and the judge is asked about both:
 *   absolute  found: the faulty one has the lower score
 *   pairwise  found: the sound one wins, whichever stands first
 * A mode is trusted where the rate of every fault reaches judge.detection; below it nothing of that mode is reported but
 * this. A judge that grades all alike finds nothing; one that follows the place of a text finds nothing in pairs.
 */

import { chosen } from '../data/random.js'
import type { ChatJudge } from './chat-judge.js'
import { type Fault, faults, planted, type SoundTrace } from './faults.js'
import { criteria, type JudgePair, scoreOf } from './rubric.js'

export interface Detection {
  readonly fault: Fault
  /** Planted; answers that could not be had count as not found. */
  readonly n: number
  readonly found: number
  readonly rate: number
}

export interface ModeCalibration {
  readonly trusted: boolean
  /** Why it is not trusted, in words. */
  readonly reasons: readonly string[]
  readonly detection: readonly Detection[]
}

export interface Calibration {
  /** Reasonings that faults were planted in. */
  readonly traces: number
  readonly absolute: ModeCalibration & {
    /** Mean distance of a grade between the two orders of the prompt, of 4. */
    readonly order_difference: number
  }
  readonly pairwise: ModeCalibration & {
    /** Share of decided pairs whose winner changed with its place; 1: the place alone decides. */
    readonly position_share: number
  }
}

export interface CalibrationSettings {
  readonly count: number
  readonly detection: number
  readonly seed: number
  /** Of the catalogue. */
  readonly titles: readonly string[]
}

const fewestTraces = 8

export async function calibrate(
  judge: Pick<ChatJudge, 'grades' | 'compare'>,
  given: readonly SoundTrace[],
  settings: CalibrationSettings,
): Promise<Calibration> {
  const usable = given.filter(({ question }) => question.reasoning.trim() !== '' && question.answer !== '')
  const traces = chosen(
    usable,
    settings.count,
    ({ user, question }) => `${user} ${question.reasoning}`,
    settings.seed,
    'calibration',
  )
  const cases = faults.flatMap((fault) =>
    traces.flatMap(({ question: sound }, index) => {
      const faulty = planted(fault, traces, index, settings)
      return faulty === null ? [] : [{ fault, index, sound, faulty }]
    }),
  )
  const [sound, faulty, compared] = await Promise.all([
    judge.grades(traces.map(({ question }) => question)),
    judge.grades(cases.map((one) => one.faulty)),
    judge.compare(
      cases.map(
        ({ sound: a, faulty: b }): JudgePair => ({ history: a.history, candidates: a.candidates, a, b }),
      ),
    ),
  ])
  const lower = cases.map(({ index }, place) => {
    const [good, bad] = [sound[index], faulty[place]]
    return Boolean(good && bad && scoreOf(bad) < scoreOf(good))
  })
  const wins = compared.map((twice) => twice?.every((winner) => winner === 'A') === true)
  const decided = compared.filter((twice) => twice?.some((winner) => winner !== 'tie'))
  const moved = decided.filter((twice) => twice?.includes('A') && twice.includes('B'))
  const verdict = (found: readonly boolean[]): ModeCalibration => {
    const detection = faults.map((fault) => detectionOf(fault, cases, found))
    return verdictOf(detection, traces.length, settings)
  }
  return {
    traces: traces.length,
    absolute: { ...verdict(lower), order_difference: orderDifference([...sound, ...faulty]) },
    pairwise: { ...verdict(wins), position_share: share(moved.length, decided.length) },
  }
}

function detectionOf(
  fault: Fault,
  cases: readonly { readonly fault: Fault }[],
  found: readonly boolean[],
): Detection {
  const own = found.filter((_, place) => cases[place]?.fault === fault)
  const hits = own.filter(Boolean).length
  return { fault, n: own.length, found: hits, rate: share(hits, own.length) }
}

function verdictOf(
  detection: readonly Detection[],
  traces: number,
  { detection: asked }: CalibrationSettings,
): ModeCalibration {
  const few =
    traces < fewestTraces ? [`${traces} reasonings to plant faults in, ${fewestTraces} are needed`] : []
  const missed = detection
    .filter(({ n, rate }) => n === 0 || rate < asked)
    .map(
      ({ fault, n, found }) => `${fault} found in ${found} of ${n}, ${Math.round(100 * asked)} % are asked`,
    )
  const reasons = [...few, ...missed]
  return { trusted: reasons.length === 0, reasons, detection }
}

function orderDifference(graded: Awaited<ReturnType<ChatJudge['grades']>>): number {
  const distances = graded.flatMap((twice) =>
    twice === null ? [] : criteria.map((name) => Math.abs(twice[0][name] - twice[1][name])),
  )
  return share(
    distances.reduce((sum, one) => sum + one, 0),
    distances.length,
  )
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole
}
