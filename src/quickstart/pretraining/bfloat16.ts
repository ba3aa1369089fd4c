/**
 * A safetensors file of fp32 tensors written again in bf16, rounded to nearest, ties to even. Half the bytes; a model
 * is trained in fp32 and shipped in this form.
 */

import { readFileSync, writeFileSync } from 'node:fs'

interface Entry {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

export function writeBfloat16(from: string, to: string): void {
  const file = readFileSync(from)
  const headerBytes = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString('utf8')) as Record<string, Entry>
  const names = Object.keys(header)
    .filter((name) => name !== '__metadata__')
    .sort()
  const pieces: Buffer[] = []
  const written: Record<string, Entry> = {}
  let end = 0
  for (const name of names) {
    const { dtype, shape, data_offsets } = header[name] as Entry
    if (dtype !== 'F32') throw new Error(`${from}: ${name} is ${dtype}, not F32`)
    const bytes = rounded(file.subarray(8 + headerBytes + data_offsets[0], 8 + headerBytes + data_offsets[1]))
    written[name] = { dtype: 'BF16', shape, data_offsets: [end, end + bytes.length] }
    pieces.push(bytes)
    end += bytes.length
  }
  const text = JSON.stringify({ __metadata__: { format: 'pt' }, ...written })
  const padded = Buffer.from(text + ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  writeFileSync(to, Buffer.concat([length, padded, ...pieces]))
}

function rounded(fp32: Buffer): Buffer {
  const result = Buffer.alloc(fp32.length / 2)
  for (let at = 0; at < fp32.length; at += 4) {
    const bits = fp32.readUInt32LE(at)
    result.writeUInt16LE(((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff, at / 2)
  }
  return result
}
