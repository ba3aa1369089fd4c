/**
 * Titles and answers as points of a sentence-embedding model: the mean over tokens of the last hidden states, scaled to
 * length 1, compared by L2 distance (for points of length 1 that is the order of cosines). The model is an ONNX export
 *
 *   inputs   input_ids, attention_mask (batch, tokens) int64, and token_type_ids where it asks for them
 *   output   the first one: (batch, tokens, hidden), pooled here, or (batch, hidden) as it is
 *
 * run by onnxruntime-node in a worker of its own (title-embedding-worker.mjs), because its run() holds the thread.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Item, ItemIndex } from '../data/types.js'
import { ReasonrecError } from '../engine/errors.js'
import { Tokenizer } from '../prompts/tokenizer.js'
import { equalFirst, exactTitles, type TitleGrounder } from './title-grounding.js'

const batch = 64
const longest = 128 // tokens of a text; what is longer is cut

interface Answer {
  readonly values?: Float32Array
  readonly error?: string
}

/** Embeds every title at once; the worker ends when the grounder is asked nothing for the process to wait for. */
export async function embeddingGrounder(items: readonly Item[], folder: string): Promise<TitleGrounder> {
  const embedder = await TextEmbedder.open(folder)
  const titles = await embedder.embed(items.map(({ title }) => title.text))
  const exact = exactTitles(items)
  const rank = (text: string, point: Float32Array, among: ReadonlySet<ItemIndex> | null): ItemIndex[] => {
    const likeness = items.map((_, item) => dot(titles[item] as Float32Array, point))
    const ranked = items
      .map((_, item) => item)
      .filter((item) => among === null || among.has(item))
      .sort((a, b) => (likeness[b] as number) - (likeness[a] as number) || a - b)
    return equalFirst(exact, text, ranked, among)
  }
  return {
    rank: async (texts, among) => {
      const points = await embedder.embed(texts)
      return texts.map((text, place) =>
        text.trim() === '' ? [] : rank(text, points[place] as Float32Array, among[place] ?? null),
      )
    },
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, place) => sum + value * (b[place] as number), 0)
}

export class TextEmbedder {
  private constructor(
    private readonly worker: Worker,
    private readonly tokenizer: Tokenizer,
    private readonly start: Int32Array,
    private readonly end: Int32Array,
    private readonly folder: string,
  ) {}

  static async open(folder: string): Promise<TextEmbedder> {
    const model = [join(folder, 'model.onnx'), join(folder, 'onnx', 'model.onnx')].find(existsSync)
    if (model === undefined)
      throw new ReasonrecError('RR_MODEL_NOT_FOUND', `${folder} holds no embedding model`, {
        expected: 'model.onnx or onnx/model.onnx, and tokenizer.json',
        remedy: 'give the folder of an ONNX export, or set eval.grounding_model to null',
      })
    const tokenizer = await Tokenizer.open(folder)
    const around = tokenizer.encodeTrusted('', { addSpecial: true })
    const start = Int32Array.from(tokenizer.startIds)
    const worker = new Worker(new URL('./title-embedding-worker.mjs', import.meta.url), {
      workerData: { model },
    })
    worker.unref()
    return new TextEmbedder(worker, tokenizer, start, around.slice(start.length), folder)
  }

  /** A point of length 1 for each text. Titles and answers are untrusted: no special token comes from them. */
  async embed(texts: readonly string[]): Promise<Float32Array[]> {
    const points: Float32Array[] = []
    for (let first = 0; first < texts.length; first += batch)
      points.push(...(await this.embedBatch(texts.slice(first, first + batch))))
    return points
  }

  private async embedBatch(texts: readonly string[]): Promise<Float32Array[]> {
    const room = longest - this.start.length - this.end.length
    const rows = texts.map((text) => [
      ...this.start,
      ...this.tokenizer.encodeUntrusted(text).slice(0, room),
      ...this.end,
    ])
    const width = Math.max(1, ...rows.map(({ length }) => length))
    const ids = new BigInt64Array(rows.length * width)
    const mask = new BigInt64Array(rows.length * width)
    rows.forEach((row, place) => {
      row.forEach((id, at) => {
        ids[place * width + at] = BigInt(id)
        mask[place * width + at] = 1n
      })
    })
    const values = await this.ask({ ids, mask, rows: rows.length, width })
    const hidden = values.length / rows.length
    return rows.map((_, place) => values.slice(place * hidden, (place + 1) * hidden))
  }

  private ask(question: object): Promise<Float32Array> {
    this.worker.ref()
    return new Promise<Float32Array>((resolve, reject) => {
      const failed = (got: string): void =>
        reject(
          new ReasonrecError('RR_MODEL_EMBEDDING', `the embedding model in ${this.folder} does not run`, {
            expected: 'inputs input_ids and attention_mask, one output of hidden states',
            got: got.slice(0, 200),
            remedy: 'check the ONNX export and that onnxruntime-node is installed',
          }),
        )
      const onError = (error: Error): void => failed(error.message)
      this.worker.once('error', onError)
      this.worker.once('message', ({ values, error }: Answer) => {
        this.worker.off('error', onError)
        this.worker.unref()
        if (values) resolve(values)
        else failed(error ?? 'no values')
      })
      this.worker.postMessage(question)
    })
  }
}
