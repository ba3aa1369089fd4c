/**
 * How RE2's traces are written (spec section 3):
 *   pass A  k_free samples on the plain prompt, kept if they hit the true next item;
 *   pass B  k_hint samples with the true item as a private note, only where A kept none;
 *   pass C  the builtin teacher, for instances without a trace, where too few traces were kept.
 */

import type { Instance } from '../../data/types.js'
import type { Collector } from '../../phases/collection/collect.js'
import { judged, keepBest, type TraceChoice } from '../../phases/collection/trace-selection.js'
import type { PhaseContext } from '../../phases/run/context.js'
import { baseStage } from '../../phases/run/stage-models.js'
import type { Teacher } from '../../teacher/teacher.js'
import type { Trace } from '../method.js'
import type { PassWriter } from './writers.js'

export class Passes implements Collector {
  readonly fill: Collector['fill']

  /** `writer` null: the builtin teacher writes all. */
  constructor(
    private readonly context: PhaseContext,
    private readonly writer: PassWriter | null,
    private readonly builtin: Teacher,
    private readonly choice: TraceChoice,
  ) {
    this.fill = writer ? (instances) => this.builtinTraces(instances) : null
  }

  async write(instances: readonly Instance[], chunk: number): Promise<Trace[]> {
    if (!this.writer) return this.builtinTraces(instances)
    const free = await this.sampled(instances, this.writer, 'A', chunk)
    const missed = instances.filter(({ id }) => !free.some((trace) => trace.instance === id && trace.kept))
    const hinted = await this.sampled(missed, this.writer, 'B', chunk)
    return [...free, ...hinted]
  }

  async close(): Promise<void> {
    await this.writer?.close?.()
  }

  private async sampled(
    instances: readonly Instance[],
    writer: PassWriter,
    pass: 'A' | 'B',
    chunk: number,
  ): Promise<Trace[]> {
    const { context } = this
    const { k_free, k_hint, temperature } = context.config.collect
    const samples = pass === 'A' ? k_free : k_hint
    if (samples === 0 || instances.length === 0) return []
    const responses = await writer.write(instances, { pass, chunk, samples })
    const traces = instances.flatMap((instance, index) =>
      (responses[index] ?? []).map(({ text, stream, tokens }) =>
        judged(context, instance, text, { pass, generator: writer.name, temperature, stream, tokens }),
      ),
    )
    return keepBest(context, baseStage(context), traces, this.choice)
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
