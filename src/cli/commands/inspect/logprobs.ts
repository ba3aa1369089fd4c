/** inspect logprobs: log-probs of given ids and the 20 likeliest tokens after each position, to compare with other programs. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { Adapter, Model, ReasonrecError, sequenceLogprobs, setThreads } from '../../../engine/index.js'
import {
  type CommonArguments,
  commonOptions,
  computeOption,
  dtypeOption,
  namedModel,
  requireDevice,
} from '../../options.js'
import { printJson } from '../../running.js'

interface LogprobsArguments extends CommonArguments {
  readonly model: string
  readonly adapter?: string | undefined
  readonly ids: string
  readonly dtype: 'auto' | 'fp32' | 'bf16'
  readonly compute: 'fp32' | 'bf16'
}

const shown = 20

export const logprobsCommand: CommandModule<object, LogprobsArguments> = {
  command: 'logprobs',
  describe: 'Log-probs of a sequence of token ids',
  builder: (parser) =>
    commonOptions(parser)
      .option('model', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Model folder or GGUF file',
      })
      .option('adapter', { type: 'string', requiresArg: true, describe: 'PEFT adapter folder' })
      .option('dtype', dtypeOption)
      .option('compute', computeOption)
      .option('ids', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Token ids, comma separated',
      }),
  handler: async (args: ArgumentsCamelCase<LogprobsArguments>) => {
    requireDevice(args.device)
    const ids = parseIds(args.ids)
    if (args.threads !== undefined && args.threads > 0) await setThreads(args.threads)
    const { dtype, compute } = args
    const model = await Model.open(namedModel(args.model), { dtype, compute })
    const adapter = args.adapter === undefined ? null : await Adapter.load(model, args.adapter)
    const { logprobs, logits } = await sequenceLogprobs(model, { trained: adapter }, [ids], { logits: true })
    const next = ids.map((_, position) => ({
      logprob: logprobs[0]?.[position] ?? null,
      top: likeliest(logits![0]!.subarray(position * model.vocab, (position + 1) * model.vocab)),
    }))
    if (args.json) return printJson({ next })
    for (const [position, { logprob, top }] of next.entries()) {
      const [best] = top
      process.stdout.write(
        `${position}\t${ids[position]}\tnext ${logprob?.toFixed(6) ?? '-'}\tbest ${best?.[0]} ${best?.[1].toFixed(6)}\n`,
      )
    }
  },
}

function parseIds(text: string): number[] {
  const ids = text.split(',').map((part) => Number(part.trim()))
  if (ids.length > 0 && ids.every((id) => Number.isInteger(id) && id >= 0)) return ids
  throw new ReasonrecError('RR_USAGE_IDS', '--ids is not a list of token ids', {
    expected: 'numbers such as 1,5,9',
    got: text,
    remedy: 'separate ids with commas',
  })
}

/** [id, log-prob] of the largest logits, falling; equal ones by id. */
function likeliest(logits: Float32Array): [number, number][] {
  let largest = Number.NEGATIVE_INFINITY
  for (const logit of logits) largest = Math.max(largest, logit)
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - largest)
  const normaliser = largest + Math.log(sum)
  const best: number[] = [] // ids, best first; a vocabulary of 150,000 is not sorted for twenty
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!
    if (best.length === shown && !(logit > logits[best[shown - 1]!]!)) continue
    let at = best.length
    while (at > 0 && logit > logits[best[at - 1]!]!) at--
    best.splice(at, 0, id)
    if (best.length > shown) best.pop()
  }
  return best.map((id) => [id, logits[id]! - normaliser])
}
