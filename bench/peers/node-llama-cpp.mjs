/** llama.cpp by node-llama-cpp: prefill, decoding, rollouts, bf16 weights, one sequence of its context per sample. */

import { folderAsGguf } from './folder-as-gguf.mjs'
import { packageNamed, serve, threads, timed } from './lines.mjs'

async function start() {
  const { loaded, title } = await packageNamed('node-llama-cpp')
  const llama = await loaded.getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: threads })
  let sequences = []
  /** Prompt whose keys and values a sequence holds. */
  let held = []
  return {
    title,
    prepare: async ({ dir, context, sequences: count }) => {
      const model = await llama.loadModel({ modelPath: folderAsGguf(dir), gpuLayers: 0 })
      const made = await model.createContext({
        contextSize: context,
        sequences: count,
        threads,
        batchSize: 512,
      })
      sequences = Array.from({ length: count }, () => made.getSequence())
      held = sequences.map(() => '')
    },
    answer: async (request) => {
      if (request.check === 'logprobs') {
        held[0] = ''
        return { logprobs: await logprobs(sequences[0], request.ids, request.first) }
      }
      if (request.op === 'prefill') {
        held[0] = ''
        return prefill(sequences[0], request.ids)
      }
      if (request.op === 'decode') return decode(sequences, held, request)
      if (request.op === 'rollouts') {
        held.fill('')
        return rollouts(sequences, request)
      }
      throw new Error(`no work named ${request.op ?? request.check}`)
    },
  }
}

/** Tokens one by one, without an end. */
function sampled(sequence, ids, sample) {
  const plain = sample ? { temperature: 1, topK: 0, topP: 1, minP: 0 } : { temperature: 0 }
  return sequence.evaluate(ids, { ...plain, yieldEogTokens: true })
}

async function take(tokens, count) {
  for (let i = 0; i < count; i++) await tokens.next()
}

async function prefill(sequence, ids) {
  await sequence.clearHistory()
  return timed(async () => {
    const tokens = sampled(sequence, ids, false)
    await tokens.next()
    await tokens.return()
    return ids.length
  })
}

/** Neither the prompt nor the first token is timed. */
async function decode(sequences, held, { prompts, copies, new: count, sample }) {
  const rows = prompts.flatMap((prompt) => Array.from({ length: copies }, () => prompt))
  const running = await Promise.all(
    rows.map(async (prompt, row) => {
      const sequence = sequences[row]
      const same = held[row] === String(prompt)
      if (same)
        await sequence.eraseContextTokenRanges([{ start: prompt.length - 1, end: sequence.nextTokenIndex }])
      else await sequence.clearHistory()
      held[row] = String(prompt)
      const tokens = sampled(sequence, same ? prompt.slice(-1) : prompt, sample)
      await tokens.next()
      return tokens
    }),
  )
  const timing = await timed(async () => {
    await Promise.all(running.map((tokens) => take(tokens, count)))
    return count * rows.length
  })
  for (const tokens of running) await tokens.return()
  return timing
}

async function rollouts(sequences, { prompt, copies, new: count }) {
  for (const sequence of sequences) await sequence.clearHistory()
  return timed(async () => {
    const running = sequences.slice(0, copies).map((sequence) => sampled(sequence, prompt, true))
    await Promise.all(running.map((tokens) => take(tokens, count)))
    for (const tokens of running) await tokens.return()
    return copies * count
  })
}

/** log p(ids[i] | ids[..i]) for i >= first. */
async function logprobs(sequence, ids, first) {
  await sequence.clearHistory()
  const asked = ids.map((id, i) => (i >= first - 1 ? [id, { generateNext: { probabilities: true } }] : id))
  const answers = await sequence.controlledEvaluate(asked.slice(0, -1))
  return ids.slice(first).map((id, i) => Math.log(answers[first - 1 + i].next.probabilities.get(id)))
}

await serve(start)
