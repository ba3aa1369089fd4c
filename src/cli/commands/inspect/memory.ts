/**
 * inspect memory: the peak memory of loading, decoding, a supervised step and a policy step of a configuration, told
 * from the headers of the model's files; nothing is loaded.
 */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import type { Config } from '../../../config/schema.js'
import {
  type MemoryQuestion,
  modelTensors,
  planMemory,
  ReasonrecError,
  readModelConfig,
  setThreads,
} from '../../../engine/index.js'
import { mebibytes } from '../../../report/numbers.js'
import { configOf, type RunArguments, runOptions } from '../../options.js'
import { printJson } from '../../running.js'
import { print } from './model.js'

interface MemoryArguments extends RunArguments {
  readonly prompt?: number | undefined
  readonly completion?: number | undefined
}

export const memoryCommand: CommandModule<object, MemoryArguments> = {
  command: 'memory',
  describe: 'Peak memory of loading, decoding, SFT and policy steps of a configuration',
  builder: (parser) =>
    runOptions(parser)
      .option('prompt', {
        type: 'number',
        describe: 'Tokens of the longest prompt (sft.max_length less --completion)',
      })
      .option('completion', {
        type: 'number',
        describe: 'Tokens of the longest reasoning and answer (rl.max_new)',
      }),
  handler: async (args: ArgumentsCamelCase<MemoryArguments>) => {
    const { config } = configOf(args)
    const { dir, threads } = config.model
    if (dir === null)
      throw new ReasonrecError('RR_USAGE_MISSING', 'no model is given', { remedy: 'give --model DIR' })
    if (threads > 0) await setThreads(threads)
    const question = questionOf(config, dir, args)
    const plan = planMemory(question)
    if (args.json) return printJson({ dtype: question.dtype, bytes: plan })
    print([
      ['dtype', question.dtype],
      ...Object.entries(plan).flatMap(([phase, { total, parts }]) => [
        [phase, mebibytes(total)] as const,
        ...Object.entries(parts).map(([name, bytes]) => [`  ${name}`, mebibytes(bytes)] as const),
      ]),
    ])
  },
}

function questionOf(config: Config, dir: string, args: MemoryArguments): MemoryQuestion {
  const { model, sft, rl } = config
  const matrices = modelTensors(dir).filter(({ shape }) => shape.length === 2)
  const asStored = matrices.every(({ dtype }) => dtype === 'BF16') ? 'bf16' : 'fp32'
  const completion = Math.max(1, args.completion ?? rl.max_new)
  return {
    config: { ...readModelConfig(dir), compute: model.compute },
    dtype: model.dtype !== 'auto' ? model.dtype : model.compute === 'bf16' ? 'bf16' : asStored,
    stored: matrices.some(({ dtype }) => dtype === 'F32') ? 4 : 2,
    process: process.memoryUsage.rss(),
    full: sft.adapter === 'full',
    rank: sft.rank,
    prompt: Math.max(1, args.prompt ?? sft.max_length - completion),
    completion,
    rows: model.max_rows,
    group: rl.group,
    scored: [rl.reward.ndcg_cand, rl.reward.gain, ...Object.values(rl.reward.weights)].some((by) => by !== 0),
    sequences: sft.batch,
    prompts: rl.prompts,
    tokenBudget: model.token_budget,
    recompute: model.recompute,
    dropout: sft.dropout > 0,
    reference: rl.kl.beta !== 0,
  }
}
