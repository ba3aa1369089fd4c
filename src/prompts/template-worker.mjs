/**
 * Renders a model folder's chat template: code from outside, so it runs in this worker under a heap limit
 * and a time limit (chat-template.ts) and gets plain data only. One message in workerData, one answer out:
 * per job either { text } or { error }.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { Template } from '@huggingface/jinja'

// Some templates print today's date; a run would then depend on the day it was started. Local noon of a fixed
// day, so that no time zone changes it.
const WallClock = Date
globalThis.Date = class extends WallClock {
  constructor(...fields) {
    super(...(fields.length > 0 ? fields : [2024, 6, 26, 12]))
  }

  static now() {
    return new WallClock(2024, 6, 26, 12).getTime()
  }
}

const longest = 1_000_000 // characters

function rendered(compiled, values) {
  try {
    const text = compiled.render(values)
    return text.length > longest ? { error: `the rendering is longer than ${longest} characters` } : { text }
  } catch (error) {
    return { error: reason(error) }
  }
}

function reason(error) {
  return String(error?.message ?? error).slice(0, 500)
}

const { template, variables, jobs } = workerData
try {
  const compiled = new Template(template)
  parentPort.postMessage(jobs.map((job) => rendered(compiled, { ...variables, ...job })))
} catch (error) {
  parentPort.postMessage(jobs.map(() => ({ error: reason(error) })))
}
