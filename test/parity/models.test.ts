/** Real models (REASONREC_MODELS) reproduce the greedy continuations recorded with transformers. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { greedy, openModel, sequenceLogprobs } from './engine.js'
import { readJson, Tally } from './reference.js'

interface Reference {
  readonly cases: readonly {
    readonly prompt_ids: readonly number[]
    readonly prompt_logprobs: readonly (number | null)[]
    readonly continuation_ids: readonly number[]
    readonly continuation_logprobs: readonly number[]
    readonly first_step_logits_0_7: readonly number[]
  }[]
}

const models = process.env.REASONREC_MODELS
const names = models
  ? readdirSync(models).filter((name) => existsSync(join(models, name, 'reference.json')))
  : []
if (models && names.length === 0)
  throw new Error(`REASONREC_MODELS names ${models}, which holds no model with a reference.json`)
if (!models) console.log('skipped: REASONREC_MODELS is not set, no real model is compared')

const tally = new Tally('real models')

describe.skipIf(!models)('real models', () => {
  for (const name of names) {
    const path = join(models ?? '', name)
    const { cases } = readJson<Reference>(path, 'reference.json')
    it(name, async () => {
      const model = await openModel(path)
      for (const reference of cases) {
        const ids = [...reference.prompt_ids, ...reference.continuation_ids]
        const { logprobs, logits } = await sequenceLogprobs(model, null, [ids], true)
        // float32 against float32: about 1e-5 is usual; the folder's README asks for 1e-3.
        tally.compare(
          'log-probs',
          logprobs[0]!,
          [...reference.prompt_logprobs.slice(1), ...reference.continuation_logprobs] as number[],
          1e-3,
        )
        const first = (reference.prompt_ids.length - 1) * model.vocab
        tally.compare('logits', logits[0]!.subarray(first, first + 8), reference.first_step_logits_0_7, 1e-3)
        const got = await greedy(model, null, reference.prompt_ids, reference.continuation_ids.length, 1)
        expect([...got.tokens]).toEqual(reference.continuation_ids)
        tally.case()
      }
    }, 120_000)
  }
})
