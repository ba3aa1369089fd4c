/**
 * Runs an ONNX model away from the main thread, which `run()` would block. It gets the model's bytes, never its path, so
 * a model cannot name other files; one batch a message, answered in order.
 */

import { parentPort, workerData } from 'node:worker_threads'

const answer = (id, work) =>
  work().then(
    (value) => parentPort.postMessage({ id, ...value }, value.scores ? [value.scores.buffer] : []),
    (error) =>
      parentPort.postMessage({
        id,
        error: String(error?.message ?? error),
        missing: error?.code === 'ERR_MODULE_NOT_FOUND',
      }),
  )

let runtime
let session

const open = async () => {
  runtime = await import('onnxruntime-node')
  session = await runtime.InferenceSession.create(workerData.bytes, {
    executionProviders: ['cpu'],
    intraOpNumThreads: workerData.threads,
    logSeverityLevel: 3,
  })
  return { inputs: [...session.inputNames], outputs: [...session.outputNames] }
}

/** sequences: BigInt64Array (rows, length), lengths: BigInt64Array (rows) -> scores Float32Array (rows, width) */
const run = async ({ sequences, lengths, rows, length }) => {
  const feeds = {
    item_seq: new runtime.Tensor('int64', sequences, [rows, length]),
    seq_len: new runtime.Tensor('int64', lengths, [rows]),
  }
  const { scores } = await session.run(feeds)
  return { type: scores.type, dims: [...scores.dims], scores: Float32Array.from(scores.data) }
}

parentPort.on('message', (message) => answer(message.id, () => run(message)))
answer(0, open)
