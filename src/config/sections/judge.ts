/** Who judges reasonings, how many, and what it must find before its scores are believed (docs/evaluation.md). */

import { count, key, share } from '../key.js'
import { teacher } from './teacher.js'

/** The judge is asked over the same protocol, with settings, a ledger and a budget of its own. */
const server = teacher.unwrap().omit({ kind: true })

export const judge = server
  .extend({
    baseURL: key(
      server.shape.baseURL,
      'Address of the judge’s server up to and with /v1; http to another machine needs judge.insecure.',
    ),
    model: key(
      server.shape.model,
      'Name of the judge as its server knows it, of another family than the models it judges; null: there is no judge.',
    ),
    ledger: key(
      server.shape.ledger,
      'Folder of the ledger of paid answers; null is the folder judge of the run.',
    ),
    instances: key(
      count().default(200),
      'Tests whose reasonings are judged, the same for all rows, half of them answered right where there are as many.',
      { unit: 'tests' },
    ),
    calibration: key(
      count(8).default(24),
      'Reasonings that every fault is planted in. Fewer are cheaper and let a judge pass by luck.',
      { unit: 'reasonings' },
    ),
    detection: key(
      share().default(0.8),
      'Share of every planted fault that the judge must find; below it no score of that mode is believed.',
    ),
  })
  .prefault({})
