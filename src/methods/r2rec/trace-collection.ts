/**
 * Step 1 of R2Rec: (Q, R, A) triples from interaction chains (spec 4 to 6), a line of traces.jsonl each.
 *   rating traces   for each instance whose rating is known, one question for each of its chains that end in the target;
 *                   thoughts by progressive masked prompting; A is the true rating
 *   ranking traces  the question of Mode L about the same instance: samples of the model itself, kept where the target is
 *                   ranked first, and never shown the answer
 * Who writes (teacher.kind): the model itself, a model behind a server, or the builtin teacher, which also fills up where
 * too little is kept. The quality filter judges all alike and its counts are kept by gate.
 */

import type { Instance } from '../../data/types.js'
import { type Collector, collect } from '../../phases/collection/collect.js'
import { judged, keepBest, type Origin } from '../../phases/collection/trace-selection.js'
import { askResponses } from '../../phases/prediction/responses.js'
import type { PhaseContext } from '../../phases/run/context.js'
import { askedInstances } from '../../phases/run/instances.js'
import type { CollectSummary } from '../../phases/run/run-record.js'
import { baseStage } from '../../phases/run/stage-models.js'
import { derivedSeed, streamId } from '../../phases/run/streams.js'
import { partsText } from '../../prompts/prompt.js'
import { planLine } from '../../teacher/openai/plan.js'
import { ChatTeacher } from '../../teacher/openai/teacher.js'
import type { GateResult, Trace } from '../method.js'
import { R2RecBuiltinTeacher } from './builtin-teacher.js'
import { ChatStepTeacher } from './chat-teacher.js'
import { asR2Rec, type R2Rec } from './index.js'
import { rankingParts } from './interaction-of-thoughts.js'
import { type Explained, explain, taskOf } from './progressive-masked-prompting.js'
import { QualityFilter } from './quality-filter.js'
import { ratingQuestions } from './rating-questions.js'
import { SelfTeacher } from './self-teacher.js'
import type { StepTeacher } from './step-teacher.js'
import { r2recTeacherPlan } from './teacher-plan.js'
import { walksOf } from './walk.js'

/** Streams of one question: its steps, and the blind answer behind them. */
const stepsPerQuestion = 64

export function traceCollection(context: PhaseContext): Promise<CollectSummary> {
  const method = asR2Rec(context.method)
  return collect(context, async (written) => {
    const chat = context.config.teacher.kind === 'openai' ? await chatTeacher(context, method) : null
    return new TripleCollector(context, method, written, chat)
  })
}

async function chatTeacher(context: PhaseContext, method: R2Rec): Promise<ChatStepTeacher> {
  const { config, dataset, run, signal, progress } = context
  const chat = await ChatTeacher.open(config, run.path, signal)
  if (!config.teacher.replay) progress.note(planLine(r2recTeacherPlan(context, askedInstances(context))))
  return new ChatStepTeacher(chat, config, dataset, method)
}

class TripleCollector implements Collector {
  readonly fill: Collector['fill']
  private readonly filter: QualityFilter
  private readonly builtin: R2RecBuiltinTeacher
  private readonly self: SelfTeacher | null

  constructor(
    private readonly context: PhaseContext,
    private readonly method: R2Rec,
    written: readonly Trace[],
    private readonly chat: ChatStepTeacher | null,
  ) {
    const { teacher, r2rec, seed } = context.config
    this.filter = new QualityFilter(
      {
        minTokens: r2rec.min_tokens,
        maxTokens: r2rec.max_tokens,
        tolerance: r2rec.tolerance,
        largestShare: r2rec.largest_share,
        required: method.requiredGates,
      },
      written,
    )
    this.builtin = new R2RecBuiltinTeacher(context.dataset, method.words, seed)
    this.self = teacher.kind === 'self' ? new SelfTeacher(context, method.words) : null
    this.fill = this.self || chat ? (instances) => this.byBuiltin(instances, -1) : null
  }

  async close(): Promise<void> {
    await this.chat?.close()
  }

  async write(instances: readonly Instance[], chunk: number): Promise<Trace[]> {
    const teacher = this.self ?? this.chat
    if (!teacher) return this.byBuiltin(instances, chunk)
    const ratings = await this.ratingTraces(instances, teacher, chunk)
    const rankings = await this.sampledRankings(instances, chunk)
    return this.judgedInOrder([...ratings, ...rankings])
  }

  private async byBuiltin(instances: readonly Instance[], chunk: number): Promise<Trace[]> {
    const ratings = await this.ratingTraces(instances, this.builtin, chunk)
    return this.judgedInOrder([...ratings, ...this.builtinRankings(instances)])
  }

  /** The filter remembers, so the order of its calls is fixed. */
  private judgedInOrder(traces: readonly Trace[]): Trace[] {
    return traces.map((trace) => this.filter.judge(trace))
  }

  private async ratingTraces(
    instances: readonly Instance[],
    teacher: StepTeacher,
    chunk: number,
  ): Promise<Trace[]> {
    const { dataset, config } = this.context
    const questions = instances.flatMap((instance) => ratingQuestions(config, this.method, dataset, instance))
    // The fill draws nothing: its teacher is the builtin one.
    const place = Math.max(0, chunk)
    const tasks = questions.map(({ question, answer }, index) =>
      taskOf(question, answer, (step) =>
        streamId('collect_hinted', place, Math.floor(index / 32), (index % 32) * stepsPerQuestion + step),
      ),
    )
    const explained = await explain(tasks, teacher, config.r2rec.prompting)
    return explained.map((one) => this.ratingTrace(one, teacher))
  }

  private ratingTrace({ task, thoughts, blind, tokens }: Explained, teacher: StepTeacher): Trace {
    const response = this.response(thoughts.join('\n'), String(task.answer))
    const trace = judged(this.context, task.question, response, {
      pass: teacher === this.builtin ? 'C' : 'B',
      generator: teacher.name,
      temperature: teacher.temperature,
      stream: String(task.stream(0)),
      tokens,
    })
    return this.withGates(trace, [this.tokensOf(thoughts), this.filter.blind(task.answer, blind)])
  }

  /** Unhinted samples; the best right one of each instance. */
  private async sampledRankings(instances: readonly Instance[], chunk: number): Promise<Trace[]> {
    if (this.context.config.collect.k_free === 0) return []
    const traces = this.chat
      ? await this.chatRankings(instances, this.chat)
      : await this.ownRankings(instances, chunk)
    return keepBest(this.context, baseStage(this.context), traces, {
      select: (accepted, keep) => [...accepted].sort((a, b) => (b.gain ?? 0) - (a.gain ?? 0)).slice(0, keep),
      admit: () => ({ gate: 'G10', passed: true, value: null }),
    })
  }

  private async chatRankings(instances: readonly Instance[], chat: ChatStepTeacher): Promise<Trace[]> {
    const { name: generator, temperature } = chat
    const samples = await chat.rank(instances)
    return instances.flatMap((instance, index) =>
      (samples[index] ?? []).map(({ text, stream, tokens }) =>
        this.rankingTrace(instance, text, { pass: 'A', generator, temperature, stream, tokens }),
      ),
    )
  }

  private async ownRankings(instances: readonly Instance[], chunk: number): Promise<Trace[]> {
    const { collect: settings, seed } = this.context.config
    const asks = instances.map((instance, index) => ({
      instance,
      mode: 'reason' as const,
      streams: Array.from({ length: settings.k_free }, (_, sample) =>
        streamId('collect_free', chunk, index, sample),
      ),
    }))
    const groups = await askResponses(this.context, baseStage(this.context), asks, {
      style: settings.answer,
      maxNew: settings.max_new,
      sampling: { temperature: settings.temperature, topP: settings.top_p },
      seed: derivedSeed(seed, 'collect'),
    })
    return groups.flatMap(({ ask, responses }) =>
      responses.map((response, index) =>
        this.rankingTrace(ask.instance, response.text, {
          pass: 'A',
          generator: 'self',
          temperature: settings.temperature,
          stream: String(ask.streams[index]),
          tokens: response.written,
        }),
      ),
    )
  }

  /** The target first, the others as others took them; blind, the same rule has to come to the target itself. */
  private builtinRankings(instances: readonly Instance[]): Trace[] {
    if (this.context.config.collect.k_free === 0) return []
    return instances.flatMap((instance) => {
      const [walk] = walksOf(instance)
      if (!walk || instance.candidates.length === 0) return []
      const blind = this.builtin.ranking(instance)
      const items = [instance.target, ...blind.filter((item) => item !== instance.target)]
      const listed = items.slice(0, this.method.words.labelsAsked(instance))
      const answer = partsText(rankingParts(instance, listed))
      const origin: Origin = {
        pass: 'C',
        generator: this.builtin.name,
        temperature: 0,
        stream: `builtin/${instance.id}`,
        tokens: 0,
      }
      const trace = this.rankingTrace(
        instance,
        this.response(this.builtin.lines(instance, walk, null), answer),
        origin,
      )
      const found = blind.indexOf(instance.target) + 1
      return [this.withGates(trace, [{ gate: 'blind', passed: found === 1, value: found }])]
    })
  }

  private rankingTrace(instance: Instance, response: string, origin: Origin): Trace {
    const trace = judged(this.context, instance, response, origin)
    return this.withGates(trace, [this.tokensOf(trace.reasoning.split('\n'))])
  }

  private tokensOf(lines: readonly string[]): GateResult {
    const { tokenizer } = this.context
    return this.filter.tokens(
      lines.filter((line) => line.trim() !== '').map((line) => tokenizer.encodeUntrusted(line).length),
    )
  }

  private withGates(trace: Trace, further: readonly GateResult[]): Trace {
    const { requiredGates } = this.method
    const kept = trace.kept && further.every(({ gate, passed }) => passed || !requiredGates.has(gate))
    return { ...trace, gates: [...trace.gates, ...further], kept }
  }

  private response(reasoning: string, answer: string): string {
    return partsText(this.method.response(reasoning, answer))
  }
}
