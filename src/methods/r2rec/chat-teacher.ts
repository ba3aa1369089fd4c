/**
 * A language model behind a server writes the thoughts. It is asked in the standard wording, whatever the student's is: an
 * instruct model knows nothing of the compact one. Each line gets the head that the student's wording wants; in the compact
 * one that is the step's number, the title and the rating shown.
 */

import type { Config } from '../../config/schema.js'
import type { Dataset, Instance } from '../../data/types.js'
import type { ChatResponse, ChatSampling, ChatTeacher } from '../../teacher/openai/teacher.js'
import { answerTokens, ChatPrompts } from './chat-prompts.js'
import type { R2Rec } from './index.js'
import { ratingIn } from './interaction-of-thoughts.js'
import { evidenceOf, shownRating } from './question.js'
import type { BlindRequest, StepTeacher, ThoughtRequest, ThoughtsRequest, Written } from './step-teacher.js'
import { type Step, walksOf } from './walk.js'

const frame = /^<think>([\s\S]*)<\/think><answer>([\s\S]*)<\/answer>$/
const nothing: Written = { text: '', tokens: 0 }

export class ChatStepTeacher implements StepTeacher {
  readonly name: string
  readonly temperature: number
  private readonly prompts: ChatPrompts
  private readonly longest: ReturnType<typeof answerTokens>

  constructor(
    private readonly chat: ChatTeacher,
    private readonly config: Config,
    private readonly dataset: Dataset,
    private readonly student: R2Rec,
  ) {
    this.name = chat.name
    this.temperature = config.collect.temperature
    this.prompts = new ChatPrompts(dataset, student.options)
    this.longest = answerTokens(config)
  }

  async writeThoughts(requests: readonly ThoughtRequest[]): Promise<Written[]> {
    const prompts = requests.map((request) => this.prompts.step(request))
    const lines = await this.chat.line(prompts, this.sampling(this.longest.step))
    return requests.map((request, at) => {
      const line = lines[at]
      if (!line) return nothing
      const { question, walk, index } = request
      const said = withoutHead(line.text)
      return { text: this.headed(question, walk, index, said), tokens: line.tokens }
    })
  }

  async writeAll(requests: readonly ThoughtsRequest[]): Promise<Written[]> {
    const prompts = requests.map(({ question, answer }) => this.prompts.whole(question, answer))
    const longest = Math.max(1, ...requests.map(({ walk }) => walk.length))
    const written = await this.chat.respond(prompts, 1, this.sampling(longest * this.longest.step))
    return requests.map(({ question, walk }, at) => {
      const [response] = written[at] ?? []
      if (!response) return nothing
      return { text: this.asStudent(question, walk, partsOf(response).think), tokens: response.tokens }
    })
  }

  async answerBlind(requests: readonly BlindRequest[]): Promise<(number | null)[]> {
    const prompts = requests.map(({ question, thoughts }) => this.prompts.blind(question, thoughts))
    const answers = await this.chat.respond(prompts, 1, {
      maxTokens: this.longest.step,
      temperature: 0,
      topP: 1,
    })
    return answers.map(([response]) => (response ? ratingIn(partsOf(response).answer) : null))
  }

  /** Responses to ranking questions in the student's form, free samples each. */
  async rank(questions: readonly Instance[]): Promise<ChatResponse[][]> {
    const { k_free } = this.config.collect
    const prompts = questions.map((question) => this.prompts.whole(question, null))
    const samples = await this.chat.respond(prompts, k_free, this.sampling(this.longest.ranking))
    return questions.map((question, at) =>
      (samples[at] ?? []).map((response) => {
        const { think, answer } = partsOf(response)
        const steps = think.split('\n').filter((line) => line.trim() !== '').length
        const walk = walksOf(question).find(({ length }) => length === steps)
        const thoughts = walk ? this.asStudent(question, walk, think) : think
        return { ...response, text: `<think>${thoughts}</think><answer>${answer}</answer>` }
      }),
    )
  }

  close(): Promise<void> {
    return this.chat.close()
  }

  private sampling(maxTokens: number): ChatSampling {
    const { temperature, top_p } = this.config.collect
    return { maxTokens, temperature, topP: top_p }
  }

  /** Lines of a whole response, each with the student's head. */
  private asStudent(question: Instance, walk: readonly Step[], think: string): string {
    const lines = think.split('\n').filter((line) => line.trim() !== '')
    if (!this.student.words.compact || lines.length !== walk.length) return lines.join('\n')
    return lines.map((line, index) => this.headed(question, walk, index, withoutHead(line))).join('\n')
  }

  private headed(question: Instance, walk: readonly Step[], index: number, said: string): string {
    const step = walk[index] as Step
    const head = this.student.words.stepHead(step)
    if (!this.student.words.compact) return `${head}${said}`
    const title = this.dataset.items[step.hop.item]?.title.text ?? ''
    const asked = evidenceOf(question).query === 'rating' && index === walk.length - 1
    const rating = asked ? null : shownRating(this.dataset, step.hop.rating)
    const named = rating === null ? title : `${title} ${rating}`
    return `${head}${said === named || said.startsWith(`${named} `) ? said : `${named} ${said}`}`
  }
}

function partsOf({ text }: ChatResponse): { readonly think: string; readonly answer: string } {
  const [, think = '', answer = ''] = frame.exec(text) ?? []
  return { think, answer }
}

function withoutHead(line: string): string {
  return line.replace(/^\s*(?:Step\s+)?\d{1,2}\s*(?:\(u\d+ - i\d+\))?\s*:\s*/i, '').trim()
}
