/** Runs an embedding model: batches of ids in, one point of length 1 for each text out (title-embedding.ts). */

import { parentPort, workerData } from 'node:worker_threads'

const { default: onnx } = await import('onnxruntime-node')
const session = await onnx.InferenceSession.create(workerData.model)

parentPort.on('message', async (question) => {
  try {
    parentPort.postMessage({ values: await embed(question) })
  } catch (error) {
    parentPort.postMessage({ error: String(error) })
  }
})

async function embed({ ids, mask, rows, width }) {
  const tensor = (values) => new onnx.Tensor('int64', values, [rows, width])
  const inputs = { input_ids: tensor(ids), attention_mask: tensor(mask) }
  if (session.inputNames.includes('token_type_ids'))
    inputs.token_type_ids = tensor(new BigInt64Array(rows * width))
  const wanted = Object.fromEntries(session.inputNames.map((name) => [name, inputs[name]]))
  const output = (await session.run(wanted))[session.outputNames[0]]
  const hidden = output.dims.at(-1)
  const pooled = new Float32Array(rows * hidden)
  for (let row = 0; row < rows; row++) {
    const point = pooled.subarray(row * hidden, (row + 1) * hidden)
    if (output.dims.length === 2) point.set(output.data.subarray(row * hidden, (row + 1) * hidden))
    else
      for (let at = 0; at < width; at++)
        if (mask[row * width + at] === 1n)
          for (let k = 0; k < hidden; k++) point[k] += output.data[(row * width + at) * hidden + k]
    const length = Math.hypot(...point) || 1
    for (let k = 0; k < hidden; k++) point[k] /= length
  }
  return pooled
}
