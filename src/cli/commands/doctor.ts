/**
 * doctor: can this machine run reasonrec? Versions, instruction set, devices, optional libraries, and a self
 * test: a tiny random model samples a row, and training must see the log-probs that sampling saw, to the bit.
 */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, totalmem } from 'node:os'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import {
  Adapter,
  cudaInfo,
  engineInfo,
  generate,
  Model,
  type NativeModelConfig,
  type PolicyLossConfig,
  ReasonrecError,
  Trainer,
} from '../../engine/index.js'
import { type CommonArguments, commonOptions } from '../options.js'
import { printJson } from '../running.js'

interface SelfTest {
  readonly passed: boolean
  readonly detail: string
}

const tiny: NativeModelConfig = {
  family: 'llama',
  hidden: 32,
  intermediate: 64,
  layers: 2,
  vocab: 64,
  maxPosition: 128,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  rmsEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: { kind: 'none' },
  tiedHead: true,
  qkvBias: false,
  oBias: false,
  mlpBias: false,
  qkNorm: false,
}

const lossOff: PolicyLossConfig = {
  loss: 'reinforce',
  clipLow: 0,
  clipHigh: 0,
  dualClip: 0,
  aggregation: 'token_mean',
  maxLength: 0,
  kl: 'k3',
  beta: 0,
  entropyBonus: 0,
}

export const doctorCommand: CommandModule<object, CommonArguments> = {
  command: 'doctor',
  describe: 'Check this machine and the installation',
  builder: (parser) => commonOptions(parser),
  handler: async (args: ArgumentsCamelCase<CommonArguments>) => {
    const facts = await examine()
    if (args.json) printJson(facts)
    else
      for (const [name, value] of Object.entries(facts))
        process.stdout.write(
          `${name.padEnd(10)}${typeof value === 'string' ? value : JSON.stringify(value)}\n`,
        )
    if (!facts.ok) process.exitCode = 13
  },
}

async function examine() {
  const libraries = {
    cublaslt: unused('no CUDA backend'),
    nccl: unused('no distributed mode'),
    mpi: unused('no distributed mode'),
    onnxruntime: packaged('onnxruntime-node'),
  }
  try {
    const info = engineInfo()
    const self_test = await selfTest()
    return {
      ok: self_test.passed,
      node: process.version,
      addon: info.version,
      isa: info.isa,
      isas: info.isas,
      threads: info.threads,
      backends: [
        {
          name: 'cpu',
          available: true,
          reason: '',
          device: cpus()[0]?.model.trim() ?? 'unknown',
          memory: totalmem(),
        },
        cudaBackend(),
      ],
      libraries,
      self_test,
    }
  } catch (error) {
    const detail = error instanceof ReasonrecError ? error.toLine() : String(error)
    return {
      ok: false,
      node: process.version,
      addon: null,
      isa: null,
      backends: [],
      libraries,
      self_test: { passed: false, detail },
    }
  }
}

/** Where each path of the CUDA kernels was ever run: native/backend/cuda/device-runs.json. */
interface DevicePath {
  readonly path: string
  /** Where its results were checked without a GPU. */
  readonly emulator: string
  /** Device and date of the first run that passed; null: it was never run on a GPU. */
  readonly device: string | null
}

/** The kernels are there and tested without a GPU; nothing runs a model on them yet, so never "available". */
function cudaBackend() {
  const { build, reason, device, memory } = cudaInfo()
  const file = new URL('../../../native/backend/cuda/device-runs.json', import.meta.url)
  const { paths } = JSON.parse(readFileSync(file, 'utf8')) as { paths: readonly DevicePath[] }
  return {
    name: 'cuda',
    available: false,
    reason: `kernels only, no model runs on them in this version${reason ? `; ${reason}` : `; built with ${build}`}`,
    device,
    memory,
    paths: paths.map((entry) => ({ ...entry, device: entry.device ?? 'unrun' })),
  }
}

async function selfTest(): Promise<SelfTest> {
  const model = await Model.random(tiny, 7n, 0.3)
  const prompt = [1, 9, 33, 5]
  const script = [{ kind: 'free', maxNew: 16, sampling: { temperature: 1 } }] as const
  const [[sample] = []] = await generate(model, {}, [{ prompt, samples: [{ stream: 1n }] }], script, {
    seed: 1n,
    maxRows: 4,
  })
  if (!sample) return { passed: false, detail: 'nothing was sampled' }
  const adapter = await Adapter.create(model, { rank: 2, alpha: 4, targets: ['q_proj'] }, 3n)
  const trainer = await Trainer.forAdapter(model, { adapter, tokenBudget: 256 })
  const ones = new Uint8Array(sample.tokens.length).fill(1)
  const completion = { ids: sample.tokens, mask: ones, oldLogprobs: sample.logprobs, advantage: 0 }
  const options = { temperature: 1, reference: {}, gradients: false }
  const { logprobs } = await trainer.accumulatePolicy(
    [{ prompt, completions: [completion] }],
    lossOff,
    Float64Array.of(1),
    options,
  )
  const differing = sample.logprobs.filter((value, index) => value !== logprobs[index]).length
  return differing === 0
    ? {
        passed: true,
        detail: `${sample.logprobs.length} sampled log-probs equal the trained ones to the bit`,
      }
    : {
        passed: false,
        detail: `${differing} of ${sample.logprobs.length} sampled log-probs differ from the trained ones`,
      }
}

interface Library {
  readonly available: boolean
  readonly reason: string
}

function unused(reason: string): Library {
  return { available: false, reason: `not used: ${reason} in this version` }
}

function packaged(name: string): Library {
  try {
    createRequire(import.meta.url).resolve(name)
    return { available: true, reason: '' }
  } catch {
    return { available: false, reason: 'the optional package is not installed' }
  }
}
