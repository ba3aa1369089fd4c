/**
 * A Qwen2 folder with bf16 weights as GGUF (version 3): matrices as they are, vectors widened to fp32 as llama.cpp wants
 * them, and a vocabulary of made-up words, since only ids are used.
 */

import { closeSync, existsSync, openSync, readFileSync, readSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const blocks = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
}
const others = {
  'model.embed_tokens.weight': 'token_embd.weight',
  'model.norm.weight': 'output_norm.weight',
  'lm_head.weight': 'output.weight',
}
const types = { uint32: 4, int32: 5, float32: 6, text: 8, list: 9 }
const stored = { F32: 0, BF16: 30 }

const u32 = (value) => {
  const out = Buffer.alloc(4)
  out.writeUInt32LE(value)
  return out
}
const u64 = (value) => {
  const out = Buffer.alloc(8)
  out.writeBigUInt64LE(BigInt(value))
  return out
}
const f32 = (value) => {
  const out = Buffer.alloc(4)
  out.writeFloatLE(value)
  return out
}
const text = (value) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)])

const key = {
  u32: (name, value) => Buffer.concat([text(name), u32(types.uint32), u32(value)]),
  f32: (name, value) => Buffer.concat([text(name), u32(types.float32), f32(value)]),
  text: (name, value) => Buffer.concat([text(name), u32(types.text), text(value)]),
  texts: (name, values) =>
    Buffer.concat([text(name), u32(types.list), u32(types.text), u64(values.length), ...values.map(text)]),
  ints: (name, values) =>
    Buffer.concat([
      text(name),
      u32(types.list),
      u32(types.int32),
      u64(values.length),
      Buffer.from(Int32Array.from(values).buffer),
    ]),
}

function metadata(config) {
  const heads = config.num_attention_heads
  const words = Array.from({ length: config.vocab_size }, (_, id) => `<${id}>`)
  return [
    key.text('general.architecture', 'qwen2'),
    key.text('general.name', 'random'),
    key.u32('qwen2.block_count', config.num_hidden_layers),
    key.u32('qwen2.context_length', config.max_position_embeddings),
    key.u32('qwen2.embedding_length', config.hidden_size),
    key.u32('qwen2.feed_forward_length', config.intermediate_size),
    key.u32('qwen2.attention.head_count', heads),
    key.u32('qwen2.attention.head_count_kv', config.num_key_value_heads),
    key.u32('qwen2.rope.dimension_count', config.hidden_size / heads),
    key.f32('qwen2.rope.freq_base', config.rope_theta),
    key.f32('qwen2.attention.layer_norm_rms_epsilon', config.rms_norm_eps),
    key.u32('qwen2.vocab_size', config.vocab_size),
    key.text('tokenizer.ggml.model', 'gpt2'),
    key.text('tokenizer.ggml.pre', 'qwen2'),
    key.texts('tokenizer.ggml.tokens', words),
    key.ints(
      'tokenizer.ggml.token_type',
      words.map(() => 1),
    ),
    key.texts('tokenizer.ggml.merges', ['a b']),
    key.u32('tokenizer.ggml.bos_token_id', 0),
    key.u32('tokenizer.ggml.eos_token_id', 0),
  ]
}

function nameOf(name) {
  if (others[name]) return others[name]
  const parts = name.split('.')
  return `blk.${parts[2]}.${blocks[parts.slice(3, -1).join('.')]}.${parts.at(-1)}`
}

const aligned = (bytes) => Math.ceil(bytes / 32) * 32

/** The file, written where it is not there yet. @param {string} folder */
export function folderAsGguf(folder) {
  const file = join(folder, 'model.gguf')
  if (existsSync(file)) return file
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
  const source = openSync(join(folder, 'model.safetensors'), 'r')
  const size = Buffer.alloc(8)
  readSync(source, size, 0, 8, 0)
  const begin = 8 + Number(size.readBigUInt64LE())
  const header = Buffer.alloc(begin - 8)
  readSync(source, header, 0, header.length, 8)
  const tensors = Object.entries(JSON.parse(header.toString()))
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const type = shape.length === 1 ? 'F32' : 'BF16'
        return { name: nameOf(name), shape, from, to, type, bytes: (to - from) * (type === 'F32' ? 2 : 1) }
      },
    )
  const keys = metadata(config)
  let offset = 0
  const entries = tensors.map(({ name, shape, type, bytes }) => {
    const entry = [
      text(name),
      u32(shape.length),
      ...[...shape].reverse().map(u64),
      u32(stored[type]),
      u64(offset),
    ]
    offset += aligned(bytes)
    return Buffer.concat(entry)
  })
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(keys.length),
    ...keys,
    ...entries,
  ])
  const target = openSync(`${file}.draft`, 'w')
  writeSync(target, Buffer.concat([head, Buffer.alloc(aligned(head.length) - head.length)]))
  for (const { from, to, type, bytes } of tensors) {
    const values = Buffer.alloc(to - from)
    readSync(source, values, 0, values.length, begin + from)
    writeSync(
      target,
      Buffer.concat([type === 'F32' ? widened(values) : values, Buffer.alloc(aligned(bytes) - bytes)]),
    )
  }
  closeSync(target)
  closeSync(source)
  renameSync(`${file}.draft`, file)
  return file
}

function widened(bf16) {
  const out = new Uint32Array(bf16.length / 2)
  for (let i = 0; i < out.length; i++) out[i] = bf16.readUInt16LE(2 * i) << 16
  return Buffer.from(out.buffer)
}
