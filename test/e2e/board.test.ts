/** The board in a browser: curves of two runs, what was written, growth of a file while the page is open. */

import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { afterAll, describe, expect, it } from 'vitest'
import { openBoard } from '../../src/board/board.js'
import { loadConfig } from '../../src/config/load.js'
import { RunDirectory } from '../../src/phases/run/run-directory.js'
import { workFolder } from './command-line.js'

const work = workFolder()
afterAll(work.remove)
const browser = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))
if (browser === undefined)
  console.warn('skipped: test/e2e/board.test.ts needs Chromium (apt install chromium)')

/** Of a root process in a container, and silent: nothing is looked up or loaded from elsewhere. */
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

function madeRun(name: string, seed: number, steps: number): string {
  const loaded = loadConfig({ preset: null, file: null, set: [], options: { seed } })
  const run = RunDirectory.create(join(work.path, name), loaded, ['collect', 'imitate', 'internalize'])
  run.close()
  const lines = Array.from({ length: steps }, (_, i) => stepLine(i + 1, seed))
  writeFileSync(join(run.path, 'metrics.jsonl'), lines.join(''))
  const sample = (step: number, hit: boolean) => ({
    phase: 'internalize',
    model: `internalize@${step}`,
    step,
    instance: 'valid/7/8',
    history: ['Snow Cole', 'Plateau Hale'],
    candidates: [],
    target: 'Chasm Cole',
    reasoning: `likes <b>Cole</b> at ${step}`,
    answer: hit ? 'Chasm Cole' : 'Nova Varga',
    hit,
  })
  const samples = [sample(0, false), sample(10, true)].map((one) => `${JSON.stringify(one)}\n`)
  writeFileSync(join(run.path, 'samples.jsonl'), samples.join(''))
  return run.path
}

function stepLine(step: number, seed: number): string {
  const reward = Math.log(step) / 10 + 0.05 * Math.sin(step * (seed + 1))
  const record = {
    phase: 'internalize',
    step,
    steps: 100,
    reward,
    kl: 0.001 * step,
    reward_terms: { hit: reward / 2 },
  }
  return `${JSON.stringify(record)}\n`
}

describe.skipIf(browser === undefined)('the board in a browser', () => {
  it('draws runs over one another, grows with them, and shows one prompt over the training', async () => {
    const first = madeRun('first', 1, 60)
    madeRun('second', 2, 40)
    const board = await openBoard(work.path, 0)
    const chrome = await chromium.launch({ executablePath: browser as string, args: flags })
    try {
      const page = await chrome.newPage({ viewport: { width: 1280, height: 860 } })
      const problems: string[] = []
      page.on('pageerror', (error) => problems.push(error.message))
      page.on('console', (message) => {
        if (message.type() === 'error') problems.push(message.text())
      })
      await page.goto(board.url)
      await page.waitForSelector('body[data-ready]')
      expect(await page.locator('nav input').count()).toBe(2)
      for (const box of await page.locator('nav input:not(:checked)').all()) await box.click()
      await expect.poll(() => page.locator('nav input:checked').count()).toBe(2)
      expect(await page.locator('.chart h3').allTextContents()).toEqual(['reward', 'kl', 'reward_terms.hit'])
      expect(await page.locator('.chart canvas').count()).toBe(3)

      await page.locator('#prompts summary').first().click()
      const written = page.locator('#prompts li.answer')
      expect(await written.allTextContents()).toEqual([
        'internalize@0, step 0: likes <b>Cole</b> at 0\nmiss: Nova Varga',
        'internalize@10, step 10: likes <b>Cole</b> at 10\nhit: Chasm Cole',
      ])

      appendFileSync(join(first, 'metrics.jsonl'), stepLine(61, 1).replace('"kl"', '"entropy":0.5,"kl"'))
      await expect.poll(() => page.locator('.chart').count(), { timeout: 10_000 }).toBe(4)
      expect(problems).toEqual([])
      const screenshot = process.env.REASONREC_SCREENSHOT
      if (screenshot) {
        mkdirSync(screenshot, { recursive: true })
        await page.screenshot({ path: join(screenshot, 'board.png') })
      }
      await page.goto(board.url.replace(/#.*/, '#wrong'))
      await page.reload()
      await expect.poll(() => page.locator('#state').textContent()).toContain('printed')
    } finally {
      await chrome.close()
      await board.close()
    }
  }, 60_000)
})
