/**
 * How RE2's traces are written (spec section 3):
 *   pass A  k_free samples on the plain prompt, kept if they hit the true next item;
 *   pass B  k_hint samples with the true item as a private note, only where A kept none;
 *   pass C  the builtin teacher, for instances without a trace, where too few traces were kept.
 */

import type { Instance } from '../../data/types.js'
import type { Collector } from '../../phases/collection/collect.js'
import { judged, keepBest, type TraceChoice } from '../../phases/collection/trace-selection.js'
import { askResponses } from '../../phases/prediction/responses.js'
import type { PhaseContext } from '../../phases/run/context.js'
import { baseStage } from '../../phases/run/stage-models.js'
import { derivedSeed, streamId } from '../../phases/run/streams.js'
import type { Teacher } from '../../teacher/teacher.js'
import type { Trace } from '../method.js'

export class Passes implements Collector {
  readonly fill: Collector['fill']

  constructor(
    private readonly context: PhaseContext,
    private readonly builtin: Teacher,
    private readonly choice: TraceChoice,
  ) {
    const self = context.config.teacher.kind === 'self'
    this.fill = self ? (instances) => this.builtinTraces(instances) : null
  }

  write(instances: readonly Instance[], chunk: number): Promise<Trace[]> {
    return this.fill === null ? this.builtinTraces(instances) : this.selfTraces(instances, chunk)
  }

  /** Passes A and B of the model itself. */
  private async selfTraces(instances: readonly Instance[], chunk: number): Promise<Trace[]> {
    const free = await this.sampled(instances, 'A', chunk)
    const missed = instances.filter(({ id }) => !free.some((trace) => trace.instance === id && trace.kept))
    const hinted = await this.sampled(missed, 'B', chunk)
    return [...free, ...hinted]
  }

  private async sampled(instances: readonly Instance[], pass: 'A' | 'B', chunk: number): Promise<Trace[]> {
    const { context } = this
    const { collect: settings, seed } = context.config
    const stage = baseStage(context)
    const samples = pass === 'A' ? settings.k_free : settings.k_hint
    if (samples === 0 || instances.length === 0) return []
    const purpose = pass === 'A' ? 'collect_free' : 'collect_hinted'
    const mode = pass === 'A' ? ('reason' as const) : ('hinted' as const)
    const asks = instances.map((instance, index) => ({
      instance,
      mode,
      streams: Array.from({ length: samples }, (_, sample) => streamId(purpose, chunk, index, sample)),
    }))
    const groups = await askResponses(context, stage, asks, {
      style: settings.answer,
      maxNew: settings.max_new,
      sampling: { temperature: settings.temperature, topP: settings.top_p },
      seed: derivedSeed(seed, 'collect'),
    })
    const traces = groups.flatMap(({ ask, responses }) =>
      responses.map((response, index) =>
        judged(context, ask.instance, response.text, {
          pass,
          generator: 'self',
          temperature: settings.temperature,
          stream: String(ask.streams[index]),
          tokens: response.written,
        }),
      ),
    )
    return keepBest(context, stage, traces, this.choice)
  }

  /** Pass C: the teacher is shown the true item privately; one text an instance, and its gates decide. */
  private async builtinTraces(instances: readonly Instance[]): Promise<Trace[]> {
    const proposals = await this.builtin.propose(instances, { hinted: true, count: 1 })
    return instances.flatMap((instance, index) =>
      (proposals[index] ?? []).map(({ text, stream, temperature, tokens }) =>
        judged(this.context, instance, text, {
          pass: 'C',
          generator: this.builtin.name,
          temperature,
          stream,
          tokens: tokens ?? 0,
        }),
      ),
    )
  }
}
