/**
 * What the engine is asked for one prompt. Without candidates: free text until an end of turn, a stop string or the
 * limit. With candidates:
 *
 *   think_open | free text until think_close | answer_open | a title, answer_close
 *
 * where the first two are there only if think_close is given. Every title is scored in its place: the sum of its
 * tokens' log-probs at temperature 1, answer_close included (default: the end of the turn), the numbers of evaluation.
 * At temperature 0 the answer is the title that ranks first; above, a title is drawn token by token among those given.
 */

import { createTrie, ReasonrecError, type ScriptStep, type Trie } from '../engine/index.js'
import { firstPrefix } from '../prompts/title-sequences.js'
import { joined, type Tokenizer } from '../prompts/tokenizer.js'
import { untrusted } from '../prompts/untrusted-text.js'
import { badField } from './problem.js'
import type { Asked, CandidateForm } from './request.js'

export interface Plan {
  /** Stands before what is written. */
  readonly given: Int32Array
  readonly script: readonly ScriptStep[]
  readonly candidates: readonly Int32Array[]
  /** A title is drawn from it; null: the best one is the answer, or there are none. */
  readonly trie: Trie | null
}

export interface Room {
  /** Tokens of the model's context. */
  readonly context: number
  readonly prompt: number
  /** Most tokens a request may ask for. */
  readonly limit: number
}

export function planOf(asked: Asked, tokenizer: Tokenizer, room: Room): Plan {
  const { limit } = room
  if (asked.maxTokens !== null && asked.maxTokens > limit) {
    const remedy = 'ask for less, or start the server with a larger --max-tokens'
    throw badField('max_tokens', `at most ${limit}`, asked.maxTokens, remedy)
  }
  return asked.candidates
    ? amongCandidates(asked, asked.candidates, tokenizer, room)
    : { ...freeText(asked, tokenizer, room), given: new Int32Array(0), candidates: [], trie: null }
}

function freeText(asked: Asked, tokenizer: Tokenizer, room: Room): Pick<Plan, 'script'> {
  return {
    script: [
      {
        kind: 'free',
        maxNew: asked.maxTokens ?? roomLeft(room, 0),
        sampling: samplingOf(asked),
        stopTokens: tokenizer.eosIds,
        stopStrings: asked.stop,
      },
    ],
  }
}

function amongCandidates(asked: Asked, form: CandidateForm, tokenizer: Tokenizer, room: Room): Plan {
  const piece = (text: string): Int32Array => tokenizer.encodeParts(text === '' ? [] : [text])
  const candidates = candidateIds(form, tokenizer)
  const [thinkOpen, answerOpen] = [piece(form.think_open), piece(form.answer_open)]
  const sampling = samplingOf(asked)
  const greedy = asked.temperature === 0
  const trie = greedy ? null : createTrie(candidates)
  const choose: ScriptStep[] = greedy ? [] : [{ kind: 'choose', sampling }]
  if (form.think_close === null)
    return { given: joined([thinkOpen, answerOpen]), script: choose, candidates, trie }
  const forced = joined([piece(form.think_close), answerOpen])
  const longest = Math.max(...candidates.map((ids) => ids.length))
  const after = thinkOpen.length + forced.length + longest * (greedy ? 1 : 2)
  const think: ScriptStep = {
    kind: 'free',
    maxNew: asked.maxTokens ?? roomLeft(room, after),
    sampling,
    stopTokens: tokenizer.eosIds,
    stopTokenEndsSample: false,
    stopStrings: [form.think_close.trim()],
  }
  const answer: ScriptStep = { kind: 'given', ids: answerOpen, idsIfUnclosed: forced }
  return { given: thinkOpen, script: [think, answer, ...choose], candidates, trie }
}

/** At least one token is asked for; the engine says so where even that does not fit. */
function roomLeft({ context, prompt, limit }: Room, taken: number): number {
  return Math.max(1, Math.min(limit, context - prompt - taken))
}

function samplingOf(asked: Asked) {
  const { temperature, topK, topP, minP, repetitionPenalty } = asked
  return { temperature, topK, topP, minP, repetitionPenalty }
}

/** Each title's ids and those that close it. */
function candidateIds(form: CandidateForm, tokenizer: Tokenizer): Int32Array[] {
  const [eos] = tokenizer.eosIds
  if (form.answer_close === null && eos === undefined)
    throw badField(
      'candidates.answer_close',
      'a text',
      null,
      'give one: this tokenizer names no end of a turn',
    )
  const close =
    form.answer_close === null
      ? Int32Array.of(eos as number)
      : tokenizer.encodeTrusted(form.answer_close, { continues: true })
  const sequences = form.titles.map((raw, index) => {
    const { text } = untrusted(raw)
    if (text === '') throw badField(`candidates.titles.${index}`, 'a title that shows', raw, 'leave it out')
    return joined([tokenizer.encodeUntrusted(text), close])
  })
  const clash = firstPrefix(sequences)
  if (clash) {
    throw new ReasonrecError('RR_TITLES_AMBIGUOUS', 'two candidates cannot be told apart by their tokens', {
      expected: 'titles that differ',
      got: clash.map((index) => JSON.stringify(form.titles[index])).join(' and '),
      remedy: 'leave one out',
    })
  }
  return sequences
}
