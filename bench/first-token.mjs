/** A program that loads a model and says its first token: node first-token.mjs ENGINE DIR DTYPE IDS (bench/cases/start-up.ts). */

const [engine, dir, dtype, ids] = process.argv.slice(2)
const { generate, Model } = await import(engine)
const model = await Model.open(dir, { dtype })
const groups = [{ prompt: ids.split(',').map(Number), samples: [{ stream: 0n }] }]
const script = [{ kind: 'free', maxNew: 1, sampling: { temperature: 0 } }]
const [[sample]] = await generate(model, {}, groups, script, { seed: 1n, maxRows: 1 })
const { user, system } = process.cpuUsage()
process.stdout.write(`${JSON.stringify({ token: sample.tokens[0], cpuSeconds: (user + system) / 1e6 })}\n`)
