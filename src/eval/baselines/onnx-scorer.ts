/**
 * The ONNX scorer contract: any recommender, exported, under our evaluator.
 *
 *   inputs   item_seq int64 (B, T): codes, oldest first, padded behind with 0;  seq_len int64 (B)
 *   output   scores float32 (B, N), higher is better
 *   sidecar  the model's path with .json for .onnx:
 *            {"items": ["id", ...], "offset": 1, "max_length": 50}
 *
 * An item's code is its place in `items` plus `offset` (1 unless told, so that 0 pads). N is the number of items, or
 * that plus `offset` where scores are by code. History items that the model does not know are left out, the last
 * max_length are given; a test without any known item has no answer. Unknown candidates come last.
 */

import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Dataset, Instance, Item } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import type { Scorer } from '../ranked-rows.js'

export interface OnnxScorer extends Scorer {
  close(): Promise<void>
}

interface Sidecar {
  readonly items: readonly string[]
  readonly offset: number
  readonly maxLength: number
}

/** Rows of one call of the model. */
const batch = 64

/** @throws RR_MODEL_NOT_FOUND, RR_MODEL_ONNX */
export async function openOnnxScorer(path: string, dataset: Dataset): Promise<OnnxScorer> {
  const sidecar = readSidecar(path.replace(/\.onnx$/, '.json'))
  if (!existsSync(path)) throw notFound(path)
  const worker = await OnnxWorker.open(path)
  const indexOf = dataset.printed?.indexOf ?? new Map(dataset.items.map((item: Item, at) => [item.id, at]))
  const placeOf = new Map<number, number>()
  sidecar.items.forEach((id, place) => {
    const item = indexOf.get(id)
    if (item !== undefined && !placeOf.has(item)) placeOf.set(item, place)
  })
  return {
    id: 'onnx',
    name: basename(path, '.onnx'),
    close: () => worker.close(),
    scores: async (instances) => {
      const scores: ((number | null)[] | null)[] = []
      for (let from = 0; from < instances.length; from += batch)
        scores.push(...(await scored(worker, sidecar, placeOf, instances.slice(from, from + batch))))
      return scores
    },
  }
}

async function scored(
  worker: OnnxWorker,
  sidecar: Sidecar,
  placeOf: ReadonlyMap<number, number>,
  instances: readonly Instance[],
): Promise<(number[] | null)[]> {
  const sequences = instances.map(({ history }) =>
    history.flatMap((item) => placeOf.get(item) ?? []).slice(-sidecar.maxLength),
  )
  const asked = sequences.filter((places) => places.length > 0)
  const length = Math.max(0, ...asked.map((places) => places.length))
  const codes = new BigInt64Array(asked.length * length)
  asked.forEach((places, row) => {
    places.forEach((place, at) => {
      codes[row * length + at] = BigInt(place + sidecar.offset)
    })
  })
  const lengths = BigInt64Array.from(asked, (places) => BigInt(places.length))
  const values =
    asked.length > 0 ? await worker.run(codes, lengths, asked.length, length) : new Float32Array()
  const width = asked.length > 0 ? values.length / asked.length : 0
  const items = sidecar.items.length
  if (asked.length > 0 && width !== items && width !== items + sidecar.offset)
    throw broken(
      worker.path,
      `scores of ${items} items, or ${items + sidecar.offset} codes`,
      `${width} a row`,
    )
  const first = width - items
  let row = -1
  return instances.map(({ candidates }, index) => {
    if (sequences[index]?.length === 0) return null
    row++
    return candidates.map((item) => {
      const place = placeOf.get(item)
      return place === undefined ? Number.NEGATIVE_INFINITY : (values[row * width + first + place] as number)
    })
  })
}

function readSidecar(path: string): Sidecar {
  if (!existsSync(path)) throw notFound(path)
  let value: Record<string, unknown> = {}
  try {
    value = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  } catch {
    // Said below.
  }
  const { items, offset = 1, max_length: maxLength = 50 } = value
  const listed = Array.isArray(items) && items.length > 0 && items.every((id) => typeof id === 'string')
  const whole = (number: unknown, least: number): number is number =>
    Number.isSafeInteger(number) && (number as number) >= least
  if (listed && whole(offset, 0) && whole(maxLength, 1)) return { items, offset, maxLength }
  throw broken(path, '{"items": ["id", ...], "offset": 1, "max_length": 50}', 'something else')
}

function notFound(path: string): ReasonrecError {
  return new ReasonrecError('RR_MODEL_NOT_FOUND', `there is no ${path}`, {
    expected: 'a .onnx file and a .json of the same name beside it',
    got: 'nothing',
    remedy: 'write the ids of the items in the order of the scores into the .json',
  })
}

function broken(path: string, expected: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_MODEL_ONNX', `${path} does not fit the scorer contract`, {
    expected,
    got,
    remedy: 'export it with inputs item_seq, seq_len and output scores (docs/protocols.md)',
  })
}

interface Reply {
  readonly id: number
  readonly error?: string
  readonly missing?: boolean
  readonly inputs?: readonly string[]
  readonly outputs?: readonly string[]
  readonly type?: string
  readonly scores?: Float32Array
}

class OnnxWorker {
  private next = 1
  private readonly waiting = new Map<number, (reply: Reply) => void>()

  private constructor(
    readonly path: string,
    private readonly worker: Worker,
  ) {
    const gone = (error: string): void => {
      for (const [id, settle] of this.waiting) settle({ id, error })
      this.waiting.clear()
    }
    worker.on('message', (reply: Reply) => {
      this.waiting.get(reply.id)?.(reply)
      this.waiting.delete(reply.id)
    })
    worker.on('error', (error) => gone(String(error)))
    worker.on('exit', (code) => gone(`the worker ended with ${code}`))
  }

  static async open(path: string): Promise<OnnxWorker> {
    const bytes = new Uint8Array(readFileSync(path))
    const worker = new Worker(new URL('./onnx-worker.mjs', import.meta.url), {
      workerData: { bytes, threads: 1 },
    })
    const opened = new OnnxWorker(path, worker)
    const { inputs = [], outputs = [] } = await opened.reply(0).catch(async (error) => {
      await worker.terminate()
      throw error
    })
    const fits = ['item_seq', 'seq_len'].every((name) => inputs.includes(name)) && inputs.length === 2
    if (fits && outputs.includes('scores')) return opened
    await worker.terminate()
    throw broken(
      path,
      'inputs item_seq, seq_len; output scores',
      `${inputs.join(', ')}; ${outputs.join(', ')}`,
    )
  }

  async run(sequences: BigInt64Array, lengths: BigInt64Array, rows: number, length: number) {
    const id = this.next++
    const answered = this.reply(id)
    this.worker.postMessage({ id, sequences, lengths, rows, length })
    const { type, scores } = await answered
    if (type === 'float32' && scores) return scores
    throw broken(this.path, 'float32 scores', String(type))
  }

  async close(): Promise<void> {
    await this.worker.terminate()
  }

  private reply(id: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.waiting.set(id, (reply) => {
        if (reply.error === undefined) resolve(reply)
        else if (reply.missing)
          reject(
            new ReasonrecError('RR_MODEL_ONNX', 'onnxruntime-node is not installed', {
              expected: 'the optional dependency onnxruntime-node',
              got: reply.error.slice(0, 200),
              remedy: 'npm install onnxruntime-node',
            }),
          )
        else reject(broken(this.path, 'a model that onnxruntime runs', reply.error.slice(0, 200)))
      })
    })
  }
}
