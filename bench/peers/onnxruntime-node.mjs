/** ONNX Runtime by onnxruntime-node: an fp32 product whose weights are a constant of the graph, so that it packs them once. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageNamed, serve, threads, timed } from './lines.mjs'

/** Seconds of work in one run, at least one product. */
const repeated = 0.2

async function start() {
  const { loaded, title } = await packageNamed('onnxruntime-node')
  const runtime = loaded.default ?? loaded
  let folder = ''
  const sessions = new Map()
  const sessionOf = async ({ m, n, k, a, w }) => {
    const key = `${m} ${n} ${k} ${w}`
    if (!sessions.has(key)) {
      const graph = productGraph(n, k, readFileSync(join(folder, `${w}.f32`)))
      const options = { intraOpNumThreads: threads, interOpNumThreads: 1, executionProviders: ['cpu'] }
      const session = await runtime.InferenceSession.create(graph, options)
      const rows = readFileSync(join(folder, `${a}.f32`))
      const values = new Float32Array(rows.buffer, rows.byteOffset, m * k)
      sessions.set(key, { session, feeds: { a: new runtime.Tensor('float32', values, [m, k]) } })
    }
    return sessions.get(key)
  }
  return {
    title,
    prepare: async (input) => {
      folder = input.folder
    },
    answer: async (request) => {
      const { session, feeds } = await sessionOf(request)
      if (request.check === 'gemm') {
        const { c } = await session.run(feeds)
        writeFileSync(
          join(folder, 'product.f32'),
          new Uint8Array(c.data.buffer, c.data.byteOffset, c.data.byteLength),
        )
        return { ok: true }
      }
      const once = await timed(async () => (await session.run(feeds)) && 1)
      const count = Math.max(1, Math.floor(repeated / once.seconds))
      return timed(async () => {
        for (let i = 0; i < count; i++) await session.run(feeds)
        return count * request.units
      })
    },
  }
}

// c = a w^T, w (n, k) constant; field numbers are those of onnx.proto3 (IR 8, opset 17).
function varint(value) {
  const out = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128)
  return Buffer.from([...out, rest])
}
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)])
function block(field, ...parts) {
  const body = Buffer.concat(parts)
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body])
}
const text = (field, value) => block(field, Buffer.from(value))
const float = 1

function value(field, name, columns) {
  const shape = block(2, block(1, text(2, 'm')), block(1, number(1, columns)))
  return block(field, text(1, name), block(2, block(1, number(1, float), shape)))
}

function productGraph(n, k, weights) {
  const turned = block(5, text(1, 'transB'), number(3, 1), number(20, 2))
  const graph = block(
    7,
    block(1, text(1, 'a'), text(1, 'w'), text(2, 'c'), text(4, 'Gemm'), turned),
    text(2, 'product'),
    block(5, number(1, n), number(1, k), number(2, float), text(8, 'w'), block(9, weights)),
    value(11, 'a', k),
    value(12, 'c', n),
  )
  return Buffer.concat([number(1, 8), graph, block(8, text(1, ''), number(2, 17))])
}

await serve(start)
