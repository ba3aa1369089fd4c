/** SASRec: loss, gradient of every weight and scores against torch's layers over left-padded sequences. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Sasrec, type SasrecShape } from '../../src/engine/index.js'
import { describeReference, entries, readJson, readTensors, Tally, tensor } from './reference.js'

interface Manifest {
  readonly shape: SasrecShape
  readonly sequences: readonly (readonly number[])[]
  readonly histories: readonly (readonly number[])[]
  readonly loss: number
  readonly predictions: number
}

const tally = new Tally('sasrec')

describeReference('sasrec', (folder) => {
  for (const file of entries(folder, 'sasrec', (name) => name.endsWith('.json')))
    it(file, async () => {
      const { shape, sequences, histories, loss, predictions } = readJson<Manifest>(
        join(folder.path, 'sasrec', file),
      )
      const expected = readTensors(folder.path, 'sasrec', file.replace(/json$/, 'safetensors'))
      const model = await Sasrec.create(shape, 1n)
      const values = model.values()
      for (const { name, offset } of model.layout()) values.set(tensor(expected, `weight.${name}`), offset)
      model.setValues(values)

      const step = { dropout: 0, seed: 0n, negatives: 0, positiveWeight: 1, spareSequence: false }
      const result = await model.accumulate(sequences, { ...step, normaliser: predictions, rowBudget: 8 })
      expect(result.rows).toBe(predictions)
      // fp32 against float64: losses are of size 3, gradients below 1, sums of some twenty rows.
      tally.compare('loss', [result.loss], [loss], 2e-6)
      const gradient = model.gradients()
      for (const { name, offset, rows, cols } of model.layout())
        tally.compare(
          name,
          gradient.subarray(offset, offset + rows * cols),
          tensor(expected, `gradient.${name}`),
          4e-6,
        )
      const scores = await model.scores(histories, null, 8)
      tally.compare(
        'scores',
        scores.flatMap((row) => [...row]),
        tensor(expected, 'scores'),
        1e-5,
      )
      tally.case()
    })
})
