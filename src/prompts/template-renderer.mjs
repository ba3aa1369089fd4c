/**
 * Renders a model folder's chat template: code from outside, so it runs in a process of its own under a heap limit
 * and a time limit (chat-template.ts). A worker thread would not do: an array that outgrows the heap at one stroke,
 * `range(100000000)`, ends the whole process in spite of the worker's resource limits (seen on Node 20.20).
 * Says { ready }, gets { template, variables, jobs }, answers per job { text } or { error }.
 */

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

process.once('message', ({ template, variables, jobs }) => {
  let results
  try {
    const compiled = new Template(template)
    results = jobs.map((job) => rendered(compiled, { ...variables, ...job }))
  } catch (error) {
    results = jobs.map(() => ({ error: reason(error) }))
  }
  process.send({ results }, () => process.disconnect())
})
process.send({ ready: true })
