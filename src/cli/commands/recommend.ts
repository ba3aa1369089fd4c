/**
 * recommend: the reasoning and the ranking for one history. Titles come from the command line, or a user's
 * history from the data. Prompts must be worded as in training, so the configuration is that of the run the
 * adapter lies in, unless --config or --preset say otherwise.
 */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import type { Config } from '../../config/schema.js'
import { asTrained, openRecommender, type Recommendation } from '../../methods/recommender.js'
import { openDataset } from '../../methods/session.js'
import { chainLines } from '../../report/chain-text.js'
import { terminalLine, terminalText } from '../../report/terminal-text.js'
import { configOf, type RunArguments, requireDevice, runOptions } from '../options.js'
import { printJson } from '../running.js'

interface RecommendArguments extends RunArguments {
  readonly adapter?: string | undefined
  readonly history?: string | undefined
  readonly user?: string | undefined
  readonly candidates?: string | undefined
}

export const recommendCommand: CommandModule<object, RecommendArguments> = {
  command: 'recommend',
  describe: 'Reason about one history and rank candidates',
  builder: (parser) =>
    runOptions(parser)
      .option('adapter', {
        type: 'string',
        requiresArg: true,
        describe: 'PEFT adapter folder, such as RUN/adapter',
      })
      .option('history', {
        type: 'string',
        requiresArg: true,
        describe: 'Titles, oldest first, separated by |',
      })
      .option('user', {
        type: 'string',
        requiresArg: true,
        describe: 'User id of the data, instead of --history',
      })
      .option('candidates', { type: 'string', requiresArg: true, describe: 'Titles to rank, separated by |' })
      .conflicts('history', 'user')
      .example('$0 recommend --model DIR --adapter RUN/adapter --history "A|B|C" --candidates "X|Y"', ''),
  handler: async (args: ArgumentsCamelCase<RecommendArguments>) => {
    requireDevice(args.device)
    const config = configFor(args)
    const dataset = args.data === undefined && args.user === undefined ? null : await openDataset(config)
    const recommender = await openRecommender(config, args.adapter ?? null, dataset)
    const recommendation = await recommender.recommend({
      ...(args.user === undefined ? { history: titles(args.history) } : { user: args.user }),
      ...(args.candidates !== undefined && { candidates: titles(args.candidates) }),
    })
    print(recommendation, args.json)
  },
}

function configFor(args: RecommendArguments): Config {
  const plain = configOf({ ...args, preset: args.preset ?? 're2' })
  const named = args.preset !== undefined || args.config !== undefined
  const { config } = asTrained(plain, named ? undefined : args.adapter)
  return { ...config, model: { ...config.model, threads: args.threads ?? config.model.threads } }
}

function titles(text: string | undefined): string[] {
  return (text ?? '').split('|').map((part) => part.trim())
}

function print(recommendation: Recommendation, json: boolean): void {
  const { reasoning, closed, tokens, chains, ranking, history } = recommendation
  if (json) {
    printJson({
      schema: 1,
      history,
      reasoning,
      ...(chains.length > 0 && { chains }),
      reasoning_closed: closed,
      tokens,
      ranking,
    })
    return
  }
  process.stdout.write(`${terminalText(reasoning)}\n\n`)
  for (const [index, chain] of chains.entries())
    process.stdout.write(`${chainLines(chain, index + 1).join('\n')}\n\n`)
  ranking.forEach(({ title, share }, index) => {
    process.stdout.write(
      `${String(index + 1).padStart(3)}  ${(100 * share).toFixed(1).padStart(5)} %  ${terminalLine(title)}\n`,
    )
  })
}
