import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunSummary } from '../../../src/phases/run/run-record.js'
import { maxPoints, thin } from '../../../src/report/figure-curves.js'
import { figuresOf } from '../../../src/report/figures.js'
import { contentPolicy } from '../../../src/report/html.js'
import { readRun } from '../../../src/report/run-files.js'
import { honestSentence } from '../../../src/report/story-origin.js'
import { writeReport } from '../../../src/report/write-report.js'
import { type SyntheticRun, writeSyntheticRun } from './synthetic-run.js'

const seed = 20260117
const root = mkdtempSync(join(tmpdir(), 'reasonrec-report-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Text of the page without its tags. */
const visible = (page: string): string =>
  page
    .replace(/<style>[\s\S]*?<\/style>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')

describe(`report of a whole run (seed ${seed})`, () => {
  const directory = join(root, 'whole')
  let run: SyntheticRun
  let page: string
  let markdown: string

  beforeAll(async () => {
    run = await writeSyntheticRun(directory, { seed })
    const written = await writeReport(directory)
    expect(written).toEqual({ html: join(directory, 'report.html'), markdown: join(directory, 'report.md') })
    page = readFileSync(written.html, 'utf8')
    markdown = readFileSync(written.markdown, 'utf8')
  })

  it('has no script, no handler, no address to load, and a policy that forbids them', () => {
    expect(page).not.toMatch(/<script/i)
    expect(page).not.toMatch(/<(iframe|object|embed|link|img|form|base)\b/i)
    expect(page).not.toMatch(/<[^>]*\son\w+\s*=/i)
    expect(page).not.toMatch(/(src|href)="(?!#)/i)
    expect(page).not.toMatch(/url\((?!#)/i)
    expect(page).toContain(`<meta http-equiv="Content-Security-Policy" content="${contentPolicy}">`)
    expect(contentPolicy).toBe("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
  })

  it('shows hostile titles as text, without control or bidi characters', () => {
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
    expect(page).toContain('&quot;&gt;&lt;img src=x onerror=alert(1)&gt;')
    expect(page).toContain('&lt;/svg&gt;&lt;style&gt;*{display:none}&lt;/style&gt;')
    expect(page).toContain('tiny-&lt;i&gt;llama&lt;/i&gt;')
    expect(page).toContain('&lt;b&gt;bold&lt;/b&gt;') // the config
    for (const text of [page, markdown]) {
      expect(text.replaceAll('\n', '').match(/[\p{Cc}\p{Cf}]/gu)).toBeNull()
    }
  })

  it('draws chains hop by hop with ratings and thoughts', () => {
    expect(page).toContain('<table class="chain"><caption>u0 - i0 - u1 - i1 - u0, closed</caption>')
    expect(page).toMatch(/<th scope="row">u0 - i1<\/th><td class="rating">\?<\/td>/)
    expect(page).toMatch(/<td class="thought">both like [^<]+<\/td>/)
    expect(markdown).toContain('> | hop | rating | title | thought |')
    expect(markdown).toMatch(/^> \| u1 - i0 \| 4 \| .+ \| both like .+ \|$/m)
  })

  it('keeps outside text from becoming Markdown, HTML or a link', () => {
    expect(markdown).not.toMatch(/<(script|img|style)/i)
    expect(markdown).not.toMatch(/(?<!\\)\]\(javascript/)
    expect(markdown).toContain('&lt;script&gt;')
    expect(markdown).toContain('\\*\\*bold\\*\\*')
  })

  it('prints the numbers of the summary and nothing else in the table', () => {
    const start = page.indexOf('<section id="result"')
    const section = visible(page.slice(start, page.indexOf('<section id="collect"')))
    for (const row of run.summary.table) {
      for (const key of ['hr1', 'hr5', 'ndcg5', 'mrr'] as const) {
        expect(section).toContain(
          `${row[key].toFixed(4)} [${row.lo95[key].toFixed(3)}, ${row.hi95[key].toFixed(3)}]`,
        )
      }
    }
    expect(
      page
        .slice(start)
        .match(/<tbody>[\s\S]*?<\/tbody>/)?.[0]
        .match(/<tr>/g),
    ).toHaveLength(run.summary.table.length)
    expect(section).toContain('+0.0600')
    expect(section).toContain('[+0.030, +0.090]')
    expect(section).toContain('[−0.010, +0.050]')
    expect(markdown).toContain(run.summary.table[6]!.hr1.toFixed(4))
    expect(JSON.parse(readFileSync(join(directory, 'table.json'), 'utf8'))).toEqual({
      schema: 1,
      table: run.summary.table,
    })
    const csv = readFileSync(join(directory, 'table.csv'), 'utf8')
      .trimEnd()
      .split('\r\n')
      .map((line) => line.split(','))
    expect(csv).toHaveLength(run.summary.table.length + 1)
    expect(csv[1]?.slice(0, 4)).toEqual(['random', 'none', '500', String(run.summary.table[0]!.hr1)])
  })

  it('tells the story in order, with the honest sentence and a lead from the rows', () => {
    const order = [
      'run',
      'result',
      'collect',
      'imitate',
      'internalize',
      'samples',
      'quality',
      'cost',
      'config',
    ].map((id) => page.indexOf(`<section id="${id}"`))
    expect(order.every((place) => place > 0)).toBe(true)
    expect([...order].sort((a, b) => a - b)).toEqual(order)
    expect(page).toContain(honestSentence.split('(')[0]!.trim())
    const text = visible(page)
    const row = (id: string) => run.summary.table.find((line) => line.id === id && line.mode !== 'score')!
    expect(text).toContain(
      `HR@1 went from ${row('base').hr1.toFixed(4)} (base model) to ${row('internalized').hr1.toFixed(4)}`,
    )
    expect(text).toContain('which it does not reach') // item-kNN is better in the synthetic rows
  })

  it('draws every curve with a point a step', async () => {
    const files = await readRun(directory)
    const figures = figuresOf(files)
    const points = Object.fromEntries(
      figures.map((figure) => [
        figure.id,
        (figure.spec as unknown as { data: { values: unknown[] } }).data.values.length,
      ]),
    )
    expect(points).toMatchObject({
      'sft-loss': 40,
      'sft-grad-norm': 40,
      'sft-learning-rate': 40,
      'rl-reward': 30,
      'rl-reward-terms': 90,
      'rl-kl': 30,
      'rl-entropy': 30,
      'rl-completion-length': 30,
      'rl-clip-ratio': 60,
      'rl-grad-norm': 30,
      'hr1-over-training': 35,
      'hr1-intervals': 8,
      'popularity-deciles': 40,
      'popularity-arp': 3,
    })
    expect(page.match(/<svg /g)).toHaveLength(figures.length)
    // The line that is drawn, not only its data: one move and 29 segments, all finite.
    const path =
      readFileSync(join(directory, 'figures', 'rl-kl.svg'), 'utf8').match(
        /mark-line[^>]*>\s*<path[^>]*d="([^"]+)"/,
      )?.[1] ?? ''
    expect(path.match(/[ML]/g)).toHaveLength(30)
    expect(path).not.toContain('NaN')
    expect(
      JSON.parse(readFileSync(join(directory, 'figures', 'rl-kl.vl.json'), 'utf8')).data.values[29].x,
    ).toBe(30)
  })

  it('follows the same instance through the models', () => {
    const article = page.match(/<article class="followed">[\s\S]*?<\/article>/)?.[0] ?? ''
    const places = ['Base model', 'Imitated', 'Internalized'].map((name) =>
      article.indexOf(`<h4><span>${name}`),
    )
    expect(places.every((place) => place > 0)).toBe(true)
    expect([...places].sort((a, b) => a - b)).toEqual(places)
  })

  it('writes the same bytes twice', async () => {
    await writeReport(directory)
    expect(readFileSync(join(directory, 'report.html'), 'utf8')).toBe(page)
  })

  it('does not compare with published numbers of another data set', () => {
    expect(page).not.toContain('DynamicPO')
  })
})

describe('comparison with published numbers', () => {
  it('appears for lastfm-llara only, with the fault of the lists', async () => {
    const directory = join(root, 'lastfm')
    await writeSyntheticRun(directory, { seed, datasetName: 'lastfm-llara' })
    const page = visible(readFileSync((await writeReport(directory)).html, 'utf8'))
    for (const text of [
      'Compared, never imitated',
      'Llama3-8B-Instruct, DMPO + DynamicPO',
      '0.7331',
      'The published lists have a fault',
      '500 of the 2,495',
    ]) {
      expect(page).toContain(text)
    }
  })
})

describe('a run that stopped early', () => {
  it('after imitation: reports what there is and names what is missing', async () => {
    const directory = join(root, 'stopped')
    const { traces } = await writeSyntheticRun(directory, { seed, stopAfterImitate: true })
    const page = readFileSync((await writeReport(directory)).html, 'utf8')
    const text = visible(page)
    for (const said of [
      'An unfinished run',
      'summary.json: the run has not reached its end',
      'Pattern Internalization: no step was recorded',
      'Evaluation: no result table',
      'traces.jsonl: one unreadable line was left out',
    ]) {
      expect(text).toContain(said)
    }
    expect(page).toContain('id="figure-sft-loss"')
    expect(page).not.toContain('id="figure-rl-reward"')
    const { collect } = await readRun(directory)
    expect(collect?.sampled).toBe(traces.length)
    expect(collect?.kept.A).toBe(traces.filter((trace) => trace.kept && trace.source === 'A').length)
    const rejected = traces.filter(
      (trace) => !trace.kept && trace.source === 'B' && trace.gates[0]?.passed === false,
    ).length
    expect(rejected).toBeGreaterThan(0)
    expect(collect?.rejected.B?.G1).toBe(rejected)
  })

  it('with a broken summary and nothing else, and with no run at all', async () => {
    const broken = mkdtempSync(join(root, 'broken-'))
    writeFileSync(join(broken, 'summary.json'), '{"schema": 1, "tab')
    const page = visible(readFileSync((await writeReport(broken)).html, 'utf8'))
    expect(page).toContain('summary.json: not readable as JSON')
    expect(page).toContain('without a record of any phase')
    const empty = mkdtempSync(join(root, 'empty-'))
    await expect(writeReport(empty)).rejects.toMatchObject({ code: 'RR_DATA_NO_RUN' })
    await expect(writeReport(join(root, 'absent'))).rejects.toMatchObject({ code: 'RR_DATA_NO_RUN' })
  })

  it('with values that are not finite, and with a resumed step written twice', async () => {
    const directory = join(root, 'odd')
    const { summary } = await writeSyntheticRun(directory, { seed })
    const path = join(directory, 'metrics.jsonl')
    const line = readFileSync(path, 'utf8')
      .split('\n')
      .find((text) => text.includes('"imitate"'))!
    writeFileSync(path, `${line}\n${line.replace(/"loss":[\d.]+/, '"loss":null')}\n`)
    writeFileSync(
      join(directory, 'summary.json'),
      JSON.stringify({ ...summary, table: [] } satisfies RunSummary),
    )
    const { imitate } = await readRun(directory)
    expect(imitate).toHaveLength(1)
    const page = readFileSync((await writeReport(directory)).html, 'utf8')
    expect(page).not.toContain('id="figure-sft-loss"')
    expect(page).not.toMatch(/NaN|undefined/)
  })
})

describe('long series', () => {
  it('are drawn as means of equal bins', () => {
    const points = Array.from({ length: 10 * maxPoints }, (_, x) => ({ x, y: x % 10 }))
    const thinned = thin(points)
    expect(thinned).toHaveLength(maxPoints)
    expect(thinned.every(({ y }) => y === 4.5)).toBe(true)
    expect(thinned.at(-1)?.x).toBe(points.length - 1)
    expect(thin(points.slice(0, 5))).toEqual(points.slice(0, 5))
  })
})

describe('the weight of the report on a program', () => {
  it('is not paid on import: no file imports vega but inside a function', () => {
    const folder = new URL('../../../src/report/', import.meta.url)
    const sources = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8'))
    expect(sources.filter((source) => /import\('vega'\)/.test(source))).toHaveLength(1)
    expect(sources.filter((source) => /^import (?!type ).*'vega/m.test(source))).toEqual([])
  })
})
