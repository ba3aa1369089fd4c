/** inspect tokenizer: vocabulary, end tokens, chat template, and the ids of a text taken as untrusted. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { Tokenizer } from '../../../prompts/tokenizer.js'
import { type CommonArguments, commonOptions, namedModel } from '../../options.js'
import { printJson } from '../../running.js'

interface TokenizerArguments extends CommonArguments {
  readonly model: string
  readonly text?: string | undefined
}

export const tokenizerCommand: CommandModule<object, TokenizerArguments> = {
  command: 'tokenizer',
  describe: 'Vocabulary, end tokens, chat template; ids of a text',
  builder: (parser) =>
    commonOptions(parser)
      .option('model', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Model folder or GGUF file',
      })
      .option('text', { type: 'string', requiresArg: true, describe: 'Text to encode, as untrusted text' }),
  handler: async (args: ArgumentsCamelCase<TokenizerArguments>) => {
    const tokenizer = await Tokenizer.open(namedModel(args.model))
    const ids = args.text === undefined ? null : Array.from(tokenizer.encodeUntrusted(args.text))
    const facts = {
      kind: tokenizer.kind,
      vocabulary: tokenizer.vocabularySize,
      start: tokenizer.startIds,
      eos: tokenizer.eosIds,
      eos_text: tokenizer.eosIds.map((id) => tokenizer.decode([id])),
      chat_template: tokenizer.hasChatTemplate,
      chat: tokenizer.chatTexts(),
      special: [...tokenizer.specialIds].sort((a, b) => a - b),
      ...(ids && { ids, pieces: ids.map((id) => tokenizer.decode([id])), decoded: tokenizer.decode(ids) }),
    }
    if (args.json) printJson(facts)
    else
      for (const [name, value] of Object.entries(facts))
        process.stdout.write(`${name}\t${JSON.stringify(value)}\n`)
  },
}
