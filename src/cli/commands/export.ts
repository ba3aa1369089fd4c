/** export: an adapter for other programs: a PEFT folder, a merged model folder, or a GGUF LoRA file. Each verifies itself. */

import { existsSync } from 'node:fs'
import path from 'node:path'
import type { ArgumentsCamelCase, Argv, CommandModule } from 'yargs'
import { setThreads } from '../../engine/index.js'
import type { Exported } from '../../export/exported.js'
import type { FloatType } from '../../export/floats.js'
import { exportGgufLora } from '../../export/gguf-lora.js'
import { exportMerged } from '../../export/merged.js'
import { exportPeft } from '../../export/peft.js'
import { parseRepository } from '../../hub/repository.js'
import { type CommonArguments, commonOptions, namedModel, requireDevice, requireOut } from '../options.js'
import { note, printJson } from '../running.js'

interface ExportArguments extends CommonArguments {
  readonly model: string
  readonly adapter: string
  readonly dtype?: string | undefined
  readonly baseName?: string | undefined
}

/** A bf16 or fp16 file that keeps less than this share of the adapter's change deserves a word. */
const noteworthyLoss = 0.01

const peftCommand: CommandModule<object, ExportArguments> = {
  command: 'peft',
  describe: 'adapter_config.json and adapter_model.safetensors, for transformers, vLLM and others',
  builder: (parser) =>
    exportOptions(parser, ['f32', 'bf16', 'f16'], 'f32').option('base-name', {
      type: 'string',
      requiresArg: true,
      describe: 'What base_model_name_or_path shall say (default: the name of the model folder)',
    }) as Argv<ExportArguments>,
  handler: (args) =>
    exported(args, (out) => {
      // What a user of the adapter can load: the hub's name where there is one.
      const hub = existsSync(args.model) ? null : parseRepository(args.model)
      const base = args.baseName ?? hub?.name ?? path.basename(path.resolve(args.model))
      return exportPeft(namedModel(args.model), args.adapter, out, floatType(args.dtype), base)
    }),
}

const mergedCommand: CommandModule<object, ExportArguments> = {
  command: 'merged',
  describe: 'Base and adapter as one model folder (merged in fp32, then cast)',
  builder: (parser) => exportOptions(parser, ['auto', 'f32', 'bf16', 'f16'], 'auto') as Argv<ExportArguments>,
  handler: (args) =>
    exported(args, (out) =>
      exportMerged(
        namedModel(args.model),
        args.adapter,
        out,
        args.dtype === 'auto' ? null : floatType(args.dtype),
      ),
    ),
}

const ggufLoraCommand: CommandModule<object, ExportArguments> = {
  command: 'gguf-lora',
  describe: 'One GGUF file for llama.cpp and programs built on it',
  builder: (parser) => exportOptions(parser, ['f32', 'f16'], 'f32') as Argv<ExportArguments>,
  handler: (args) =>
    exported(args, (out) =>
      exportGgufLora(namedModel(args.model), args.adapter, out, args.dtype === 'f16' ? 'F16' : 'F32'),
    ),
}

export const exportCommand: CommandModule = {
  command: 'export <what>',
  describe: 'Write an adapter for other programs',
  builder: (parser) =>
    parser
      .command(peftCommand)
      .command(mergedCommand)
      .command(ggufLoraCommand)
      .demandCommand(1, 'say what to write: peft, merged or gguf-lora'),
  handler: () => {},
}

function exportOptions(parser: Argv<object>, types: readonly string[], usual: string) {
  return commonOptions(parser)
    .option('model', { type: 'string', demandOption: true, requiresArg: true, describe: 'Model folder' })
    .option('adapter', {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: 'PEFT adapter folder, such as RUN/adapter',
    })
    .option('dtype', { choices: types, default: usual, describe: 'Stored type (auto: the type of the base)' })
}

function floatType(text: string | undefined): FloatType {
  return (text ?? 'f32').toUpperCase() as FloatType
}

async function exported(
  args: ArgumentsCamelCase<ExportArguments>,
  write: (out: string) => Promise<Exported>,
): Promise<void> {
  requireDevice(args.device)
  const out = requireOut(args.out)
  if (args.threads !== undefined && args.threads > 0) await setThreads(args.threads)
  const { kind, dtype, files, verified, rounding } = await write(out)
  if (rounding && rounding.relative_loss > noteworthyLoss)
    note(
      `storing as ${dtype} loses ${percent(rounding.relative_loss)} of the adapter's change to the weights; ` +
        `${percent(rounding.unchanged_share)} of the changed weights are stored unchanged (--dtype f32 keeps all)`,
    )
  const facts = { schema: 1, kind, out, dtype, files, verified, rounding }
  if (args.json) return printJson(facts)
  for (const { name, bytes } of files) process.stdout.write(`${name}\t${bytes} bytes\n`)
  process.stdout.write(
    `verified\t${verified.tokens} tokens, logits within ${verified.max_difference.toPrecision(2)} ` +
      `(allowed ${verified.tolerance.toPrecision(2)}; the adapter changes them by ${verified.adapter_effect.toPrecision(2)})\n`,
  )
  process.stdout.write(`out\t${out}\n`)
}

function percent(share: number): string {
  return `${(100 * share).toPrecision(3)} %`
}
