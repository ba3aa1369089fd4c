/** The protocol of README.md for peers in JavaScript: one request per line, one answer per line. */

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** As many as the harness says. */
export const threads = Number(process.env.OMP_NUM_THREADS ?? 1)

/**
 * A package and its version, from REASONREC_NODE_PEERS or this project.
 * @param {string} name
 */
export async function packageNamed(name) {
  const project = fileURLToPath(new URL('../..', import.meta.url))
  const folder = [process.env.REASONREC_NODE_PEERS ?? project, project].find((one) =>
    existsSync(join(one, 'node_modules', name, 'package.json')),
  )
  if (folder === undefined) throw new Error(`no package ${name}`)
  const file = join(folder, 'node_modules', name, 'package.json')
  const loaded = await import(pathToFileURL(createRequire(file).resolve(name)).href)
  return { loaded, title: `${name} ${JSON.parse(readFileSync(file, 'utf8')).version}` }
}

/**
 * `work` returns the units it did.
 * @param {() => Promise<number>} work
 */
export async function timed(work) {
  const cpu = process.cpuUsage()
  const begin = performance.now()
  const units = await work()
  const seconds = (performance.now() - begin) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { units, seconds, cpuSeconds: (user + system) / 1e6 }
}

/**
 * start() gives the title and answer(request), which may rely on one earlier {prepare}.
 * @param {() => Promise<{ title: string, prepare: (input: any) => Promise<void>, answer: (request: any) => Promise<object> }>} start
 */
export async function serve(start) {
  const say = (/** @type {object} */ reply) => process.stdout.write(`${JSON.stringify(reply)}\n`)
  let peer
  try {
    peer = await start()
  } catch (error) {
    say({ missing: String(error instanceof Error ? error.message : error).split('\n')[0] })
    return
  }
  say({ name: peer.title })
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line)
    try {
      if (request.prepare) {
        await peer.prepare(request.prepare)
        say({ ok: true })
      } else say(await peer.answer(request))
    } catch (error) {
      say({ error: String(error instanceof Error ? error.message : error) })
    }
  }
  process.exit(0)
}
