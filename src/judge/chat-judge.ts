/** A judge behind a server: every question once, through the ledger; what was judged before costs nothing. */

import type { Config } from '../config/schema.js'
import { ReasonrecError } from '../engine/errors.js'
import type { Prompt } from '../prompts/prompt.js'
import type { Judge, JudgeQuestion } from '../rewards/judge.js'
import type { AnswerSchema, ChoiceReader } from '../teacher/openai/chat.js'
import { ChatClient } from '../teacher/openai/client.js'
import { markedPrompt } from '../teacher/openai/prompting.js'
import type { LedgerTotals } from '../teacher/openai/tally.js'
import {
  type Grades,
  gradePrompts,
  gradesSchema,
  type JudgePair,
  pairPrompt,
  readGrades,
  readWinner,
  scoreOf,
  type Winner,
  winnerSchema,
} from './rubric.js'

/** A question's grades in each order of the prompt. */
export type GradedTwice = readonly [Grades, Grades]

/** Who won with a in front, and who with b in front, in the words of the pair. */
export type ComparedTwice = readonly [Winner, Winner]

/** The justification and the grades. */
const answerTokens = 400
/** Of prompts and readers here: new versions ask again. */
const version = { absolute: 'judge absolute 1', pairwise: 'judge pairwise 1' } as const

export class ChatJudge implements Judge {
  private constructor(
    private readonly client: ChatClient,
    private readonly config: Pick<Config, 'judge' | 'seed'>,
  ) {}

  /** `folder`: of the ledger, unless judge.ledger names one. @throws what ChatClient.open throws, RR_CONFIG_JUDGE */
  static async open(
    config: Pick<Config, 'judge' | 'seed'>,
    folder: string,
    signal: AbortSignal,
  ): Promise<ChatJudge> {
    const { judge } = config
    if (judge.model === null)
      throw new ReasonrecError('RR_CONFIG_JUDGE', 'there is no judge', {
        expected: 'judge.model and judge.baseURL',
        remedy: 'name the judge as its server knows it, and the server’s address',
      })
    const client = await ChatClient.open({ ...judge, kind: 'openai' }, judge.ledger ?? folder, signal)
    return new ChatJudge(client, config)
  }

  get name(): string {
    return this.client.model
  }

  /** Null where one of the two answers could not be had. */
  async grades(questions: readonly JudgeQuestion[]): Promise<(GradedTwice | null)[]> {
    return Promise.all(
      questions.map(async (question) => {
        const asked = gradePrompts(question).map((prompt) =>
          this.ask(prompt, 'absolute', gradesSchema, readGrades),
        )
        const [first, second] = await Promise.all(asked)
        return first && second ? ([first, second] as const) : null
      }),
    )
  }

  /** 0 to 1. */
  async scores(questions: readonly JudgeQuestion[]): Promise<(number | null)[]> {
    return (await this.grades(questions)).map((twice) => twice && scoreOf(twice))
  }

  async compare(pairs: readonly JudgePair[]): Promise<(ComparedTwice | null)[]> {
    return Promise.all(
      pairs.map(async (pair) => {
        const swapped = { ...pair, a: pair.b, b: pair.a }
        const asked = [pair, swapped].map((one) =>
          this.ask(pairPrompt(one), 'pairwise', winnerSchema, readWinner),
        )
        const [straight, exchanged] = await Promise.all(asked)
        return straight && exchanged ? ([straight, opposite(exchanged)] as const) : null
      }),
    )
  }

  totals(): LedgerTotals {
    return this.client.totals()
  }

  close(): Promise<void> {
    return this.client.close()
  }

  private async ask<T>(
    prompt: Prompt,
    mode: keyof typeof version,
    schema: AnswerSchema,
    read: ChoiceReader<T>,
  ): Promise<T | null> {
    const { judge, seed } = this.config
    const { messages } = markedPrompt(prompt, false)
    const outcome = await this.client.ask(
      {
        messages,
        maxTokens: answerTokens,
        temperature: 0,
        ...(judge.structured === 'auto' && { schema }),
        version: version[mode],
        seed,
      },
      read,
    )
    return outcome.answered ? outcome.value : null
  }
}

function opposite(winner: Winner): Winner {
  return winner === 'tie' ? 'tie' : winner === 'A' ? 'B' : 'A'
}
