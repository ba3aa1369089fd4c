/** From a response to a trace with its gates, and the choice of the traces to keep per instance. */

import type { Instance } from '../../data/types.js'
import type { GateResult, Method, Trace } from '../../methods/method.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { isAnswered } from '../../rewards/reward.js'
import { scoreChoices } from '../prediction/responses.js'
import type { PhaseContext, StageModel } from '../run/context.js'
import { instanceOf } from './traces.js'

export interface Origin {
  readonly pass: Trace['source']
  readonly generator: string
  readonly temperature: number
  readonly stream: string
  readonly tokens: number
}

/** What a method brings to the choice of traces. */
export interface TraceChoice {
  /** The chosen of the accepted traces of one instance, at most `keep`. */
  readonly select: (accepted: readonly Trace[], keep: number) => readonly Trace[]
  /** G10: judges a reasoning against those admitted before, and admits it if it passes. */
  readonly admit: (instance: string, reasoning: string) => GateResult
}

/** `kept` says here that every gate of the method passed; keepBest chooses among those. */
export function judged(context: PhaseContext, instance: Instance, response: string, origin: Origin): Trace {
  const { dataset, method } = context
  const parsed = method.parse(dataset, instance, response)
  const { reasoning, answer, item } = parsed
  const gates = method.gates(dataset, instance, response, origin.pass)
  return {
    instance: instance.id,
    user: instance.user,
    history: instance.history,
    candidates: instance.candidates,
    target: instance.target,
    reasoning: reasoning ?? response,
    answer: answer ?? '',
    answerItem: item,
    source: origin.pass,
    generator: origin.generator,
    temperature: origin.temperature,
    stream: origin.stream,
    tokens: origin.tokens,
    gates,
    gain: null,
    kept: reasoning !== null && isAnswered(parsed) && passes(method, gates),
    ...(instance.evidence !== undefined && { evidence: instance.evidence }),
  }
}

/** Every gate that the method asks for. */
export function passes(
  { requiredGates }: Pick<Method, 'requiredGates'>,
  gates: readonly GateResult[],
): boolean {
  return gates.every(({ gate, passed }) => passed || !requiredGates.has(gate))
}

/** At most collect.keep_per_instance kept per instance, after the gates that look at more than the text (G9, G10). */
export async function keepBest(
  context: PhaseContext,
  stage: StageModel,
  traces: readonly Trace[],
  choice: TraceChoice,
): Promise<Trace[]> {
  const { gain_tau: tau, keep_per_instance } = context.config.collect
  const { requiredGates } = context.method
  const gains =
    tau === null
      ? new Map<Trace, number>()
      : await gainsOf(
          context,
          stage,
          traces.filter(({ kept }) => kept),
        )
  const looked = traces.map((trace) => {
    if (!trace.kept) return trace
    const gain = gains.get(trace) ?? null
    const useful =
      tau === null ? [] : [{ gate: 'G9', passed: (gain ?? Number.NEGATIVE_INFINITY) > tau, value: gain }]
    const fresh =
      requiredGates.has('G10') && useful.every(({ passed }) => passed)
        ? [choice.admit(trace.instance, trace.reasoning)]
        : []
    const further = [...useful, ...fresh]
    return {
      ...trace,
      gain,
      gates: [...trace.gates, ...further],
      kept: further.every(({ passed }) => passed),
    }
  })
  const chosen = new Set<Trace>()
  for (const own of groupedBy(
    looked.filter(({ kept }) => kept),
    ({ instance }) => instance,
  ).values()) {
    for (const trace of choice.select(own, keep_per_instance)) chosen.add(trace)
  }
  return looked.map((trace) => ({ ...trace, kept: chosen.has(trace) }))
}

/** G9: mean log-prob of the target's title behind the reasoning, minus the same under the direct prompt. */
async function gainsOf(
  context: PhaseContext,
  stage: StageModel,
  traces: readonly Trace[],
): Promise<Map<Trace, number>> {
  const { encoding } = context
  const requests = traces.flatMap((trace) => {
    const instance = instanceOf(trace)
    const choices = [encoding.rightChoice(instance)]
    return [
      {
        prompt: encoding.prompt(instance, 'reason'),
        prefixes: [encoding.beforeAnswer(untrustedPassage(trace.reasoning))],
        choices,
      },
      { prompt: encoding.prompt(instance, 'direct'), prefixes: [encoding.frame.directOpen], choices },
    ]
  })
  const scores = await scoreChoices(context, stage.model, stage.adapters, requests)
  const mean = (index: number): number => scores[index]?.[0]?.mean[0] ?? Number.NaN
  return new Map(traces.map((trace, index) => [trace, mean(2 * index) - mean(2 * index + 1)]))
}

function groupedBy<T>(values: readonly T[], key: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const own = groups.get(key(value))
    if (own) own.push(value)
    else groups.set(key(value), [value])
  }
  return groups
}
