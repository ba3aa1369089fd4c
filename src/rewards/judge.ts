/**
 * judge = a judge's score of the reasoning, 0 to 1 (spec 7.5); NaN where it gave none, so that the group's mean stands in.
 * A judge is anything that answers with scores. It is shown history, candidates, reasoning and answer: never the target,
 * never who wrote it. Scores are kept by the hash of what it is shown: ScoreFile reads such a store from a file, a judge
 * behind a server (src/judge) has its ledger.
 */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ReasonrecError } from '../engine/errors.js'
import type { RewardContext, RewardTerm, Rollout } from './reward.js'

/** Texts are untrusted. */
export interface JudgeQuestion {
  readonly history: readonly string[]
  readonly candidates: readonly string[]
  readonly reasoning: string
  readonly answer: string
}

export interface Judge {
  /** One per question, 0 to 1; null where it has none. */
  scores(questions: readonly JudgeQuestion[]): Promise<readonly (number | null)[]>
}

export function judged(): RewardTerm {
  return {
    id: 'judge',
    needs: 'judge',
    core: false,
    rationality: true,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) => group.map(({ judged: score }) => score ?? Number.NaN),
  }
}

/** Null where there is nothing to judge. */
export function judgeQuestion(
  { parsed: { reasoning, answer } }: Pick<Rollout, 'parsed'>,
  { dataset, instance }: RewardContext,
): JudgeQuestion | null {
  if (reasoning === null || answer === null) return null
  const title = (item: number): string => dataset.items[item]?.title.text ?? ''
  return {
    history: instance.history.map(title),
    candidates: instance.candidates.map(title),
    reasoning,
    answer,
  }
}

/** sha256 of the question as JSON, keys in the order of JudgeQuestion, hexadecimal. */
export function judgeKey({ history, candidates, reasoning, answer }: JudgeQuestion): string {
  return createHash('sha256').update(JSON.stringify({ history, candidates, reasoning, answer })).digest('hex')
}

/** Scores that somebody wrote down: JSONL, {"key": judgeKey, "score": 0 to 1 or null} a line; the last of a key counts. */
export class ScoreFile implements Judge {
  private readonly known = new Map<string, number | null>()

  constructor(file: string) {
    const lines = readText(file).split('\n')
    lines.forEach((line, index) => {
      if (line.trim() === '') return
      const entry = scoreLine(line)
      if (!entry) {
        throw new ReasonrecError('RR_CONFIG_JUDGE', `${file}:${index + 1} is no score`, {
          expected: '{"key": "<sha256>", "score": 0.75} with a score from 0 to 1, or null',
          got: line.slice(0, 80),
          remedy: 'correct rl.reward.judge_scores',
        })
      }
      this.known.set(entry.key, entry.score)
    })
  }

  async scores(questions: readonly JudgeQuestion[]): Promise<readonly (number | null)[]> {
    return questions.map((question) => this.known.get(judgeKey(question)) ?? null)
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ReasonrecError(
      'RR_CONFIG_JUDGE',
      `the scores of a judge cannot be read from ${file}`,
      {
        got: cause instanceof Error ? cause.message : String(cause),
        remedy: 'correct rl.reward.judge_scores',
      },
      { cause },
    )
  }
}

function scoreLine(line: string): { readonly key: string; readonly score: number | null } | null {
  try {
    const { key, score } = JSON.parse(line) as { readonly key?: unknown; readonly score?: unknown }
    if (typeof key !== 'string') return null
    if (score === null) return { key, score }
    return typeof score === 'number' && score >= 0 && score <= 1 ? { key, score } : null
  } catch {
    return null
  }
}

export function noJudge(): ReasonrecError {
  return new ReasonrecError('RR_CONFIG_JUDGE', 'the reward term judge has a weight, but there is no judge', {
    expected: 'scores by hash in rl.reward.judge_scores, or a judge behind a server (judge.model)',
    remedy: 'give one of them, or leave the term out (rl.reward.weights.judge: 0)',
  })
}
