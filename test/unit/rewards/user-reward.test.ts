/** Terms of a user's own: the example of docs/rewards.md, files in each language, and everything that is refused. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { re2 } from '../../../src/methods/re2/index.js'
import { methodReward } from '../../../src/methods/registry.js'
import { rewardTermIds } from '../../../src/rewards/registry.js'
import { type Rollout, rewardNeeds } from '../../../src/rewards/reward.js'
import { ownTermsOf } from '../../../src/rewards/user-file.js'
import { registerReward, type UserReward, userTerm } from '../../../src/rewards/user-reward.js'
import { handMade, honest, instance, written } from '../methods/world.js'

const folder = mkdtempSync(join(tmpdir(), 'reasonrec-reward-'))
afterAll(() => rmSync(folder, { recursive: true }))
const guide = readFileSync(new URL('../../../docs/rewards.md', import.meta.url), 'utf8')

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const configOf = (files: readonly string[], ...set: string[]) =>
  loadConfig({ preset: null, file: null, set, options: { 'rl.reward.user': files } })
const method = re2({ maxWords: 60 })
function rollout(reasoning: string): Rollout {
  const text = written(reasoning)
  return {
    text,
    parsed: method.parse(handMade, instance, text),
    tokens: 60,
    finish: 'complete',
    candidateJoint: [-4, -5, -6, -7],
    candidateMean: [-2, -1, -3, -3.5],
    targetMeanWith: -1,
    targetMeanWithout: -1,
  }
}
const context = { dataset: handMade, instance }

describe('the guide', () => {
  it('has a row for every term and every need', () => {
    for (const id of rewardTermIds) expect(guide).toMatch(new RegExp(`^\\| \`${id}\` \\|`, 'm'))
    for (const need of rewardNeeds) if (need !== 'text') expect(guide).toContain(`\`${need}\``)
  })

  it('its example counts in the reward of a run', async () => {
    const example = /```ts\n([\s\S]*?)```/.exec(guide)?.[1] ?? ''
    const { config } = configOf([file('calm.ts', example)])
    const own = await ownTermsOf(config)
    expect(own.map(({ term, weight }) => [term.id, weight])).toEqual([['calm', 0.3]])
    const group = [rollout(honest), rollout(honest.replace('calm', 'bright').replace('slow', 'fast'))]
    const { rewards, terms } = methodReward(config, own).compute(group, context)
    // "quieter", "slow" and "calm" against "quieter" alone; nothing else differs.
    expect(terms.calm).toEqual([1, 1 / 3])
    expect(rewards[0]! - rewards[1]!).toBeCloseTo(0.3 * (1 - 1 / 3), 12)
  })
})

describe('files', () => {
  const term = (id: string) => `{ id: '${id}', score: () => 0.5 }`

  it.each([
    ['one.mjs', `export const reward = ${term('one')}`, ['one']],
    ['list.mjs', `export const rewards = [${term('one')}, ${term('two')}]`, ['one', 'two']],
    ['default.mjs', `export default ${term('one')}`, ['one']],
    ['one.ts', `const id: string = 'typed'\nexport const reward = { id, score: (): number => 1 }`, ['typed']],
  ])('%s', async (name, text, ids) => {
    const { config } = configOf([file(name, text)])
    expect((await ownTermsOf(config)).map(({ term: own }) => own.id)).toEqual(ids)
  })

  it('a weight in the configuration goes before the file’s; 0 leaves the term out', async () => {
    const { config } = configOf(
      [file('weight.mjs', `export const reward = ${term('weighed')}`)],
      'rl.reward.weights={weighed: 0}',
    )
    expect(methodReward(config, await ownTermsOf(config)).terms.map(({ id }) => id)).not.toContain('weighed')
  })

  it('their bytes are part of the configuration', async () => {
    const path = file('changing.mjs', `export const reward = ${term('changing')}`)
    const before = configOf([path])
    expect(before.config.rl.reward.user[0]?.sha256).toMatch(/^[0-9a-f]{64}$/)
    file('changing.mjs', `export const reward = ${term('changed')}`)
    expect(configOf([path]).hash).not.toBe(before.hash)
    await expect(ownTermsOf(before.config)).rejects.toMatchObject({
      code: 'RR_CONFIG_REWARD',
      message: expect.stringContaining('not the file the run began with'),
    })
  })

  it.each([
    ['words.txt', 'hit', /is no module/],
    ['broken.mjs', 'export const reward = {', /cannot be loaded/],
    ['empty.mjs', 'export const other = 1', /holds no reward term/],
    ['taken.mjs', `export const reward = ${term('hit')}`, /holds no reward term/],
    ['scoreless.mjs', `export const reward = { id: 'a' }`, /holds no reward term/],
    [
      'needy.mjs',
      `export const reward = { id: 'a', needs: ['luck'], score: () => 0 }`,
      /holds no reward term/,
    ],
    ['twice.mjs', `export const rewards = [${term('twin')}, ${term('twin')}]`, /second reward term twin/],
  ])('%s is refused', async (name, text, message) => {
    const { config } = configOf([file(name, text)])
    await expect(ownTermsOf(config)).rejects.toMatchObject({
      code: 'RR_CONFIG_REWARD',
      message: expect.stringMatching(message),
    })
  })

  it('a file that is not there is refused with the configuration', () => {
    expect(() => configOf([join(folder, 'none.mjs')])).toThrow(
      expect.objectContaining({ code: 'RR_CONFIG_REWARD' }),
    )
  })
})

describe('a term that goes wrong', () => {
  const failing = (score: UserReward['score']) => () =>
    userTerm({ id: 'mine', score }).compute([rollout(honest), rollout(honest)], context)

  it('names rollout and term where it throws', () => {
    const second = failing((_, { row }) => {
      if (row === 1) throw new TypeError('no such thing')
      return 0
    })
    expect(second).toThrow(
      expect.objectContaining({
        code: 'RR_CONFIG_REWARD_FAILED',
        message: 'the reward term mine failed at rollout 2 of train/u1/4',
        details: expect.objectContaining({ got: 'no such thing' }),
      }),
    )
  })

  it.each([[Number.NaN], [Number.POSITIVE_INFINITY], ['1'], [undefined], [Promise.resolve(1)]])(
    'and where it gives %s',
    (given) => {
      expect(failing(() => given as number)).toThrow(
        expect.objectContaining({
          code: 'RR_CONFIG_REWARD_VALUE',
          message: 'the reward term mine gave no number at rollout 1 of train/u1/4',
        }),
      )
    },
  )

  it('null is a missing value', () => {
    expect(userTerm({ id: 'mine', score: () => null }).compute([rollout(honest)], context)).toEqual([
      Number.NaN,
    ])
  })
})

describe('registerReward', () => {
  it('takes part where a weight names it, and asks for what it needs', async () => {
    registerReward({ id: 'registered', needs: ['target', 'post'], score: (_, { group }) => group.length })
    const off = configOf([]).config
    expect(methodReward(off, await ownTermsOf(off)).terms.map(({ id }) => id)).not.toContain('registered')
    const { config } = configOf([], 'rl.reward.weights={registered: 2}')
    const reward = methodReward(config, await ownTermsOf(config))
    expect([...reward.needs]).toEqual(expect.arrayContaining(['target', 'post']))
    expect(reward.compute([rollout(honest)], context).terms.registered).toEqual([1])
  })

  it('an id that nobody registered is refused with the nearest', async () => {
    const { config } = configOf([], 'rl.reward.weights={gian: 2}')
    await expect(ownTermsOf(config).then((own) => methodReward(config, own))).rejects.toMatchObject({
      code: 'RR_CONFIG_REWARD',
      details: expect.objectContaining({ remedy: expect.stringContaining('did you mean gain?') }),
    })
  })

  it('a judge without scores is refused', () => {
    const { config } = configOf([], 'rl.reward.weights={judge: 1}')
    expect(() => methodReward(config, [])).toThrow(expect.objectContaining({ code: 'RR_CONFIG_JUDGE' }))
  })
})
