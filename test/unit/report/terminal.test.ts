import { Writable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ResultRow } from '../../../src/eval/result-row.js'
import type { SampleLine } from '../../../src/phases/run/run-record.js'
import { escapeHtml, html } from '../../../src/report/html-text.js'
import { escapeMarkdown, markdownTable } from '../../../src/report/markdown.js'
import { terminalProgress } from '../../../src/report/progress.js'
import { chooseSamples, renderSample } from '../../../src/report/sample.js'
import { csvCell, renderTable, tableCsv } from '../../../src/report/table.js'
import { terminalLine, terminalText } from '../../../src/report/terminal-text.js'

class Sink extends Writable {
  text = ''
  constructor(readonly isTTY: boolean) {
    super()
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
  cursorTo(): boolean {
    return true
  }
  clearLine(): boolean {
    return true
  }
}

const sample: SampleLine = {
  phase: 'evaluate',
  model: 'imitated',
  step: 20,
  instance: 'test/1/9',
  history: ['Blue Train', '\u001b[2J\u001b]0;owned\u0007Head Hunters'],
  candidates: ['Time Out', 'Moanin’'],
  target: 'Time Out',
  reasoning: 'Small groups.\n\u001b[31mThen modal.\u001b[0m',
  answer: 'Moanin’',
  hit: false,
  reward: -0.25,
}

const row: ResultRow = {
  id: 'imitated',
  mode: 'think_score',
  n: 500,
  parse_rate: 0.934,
  hr1: 0.1234,
  hr5: 0.4,
  ndcg5: 0.3,
  mrr: 0.25,
  lo95: { hr1: 0.101, hr5: 0.36, ndcg5: 0.27, mrr: 0.22 },
  hi95: { hr1: 0.146, hr5: 0.44, ndcg5: 0.33, mrr: 0.28 },
}

describe('terminal text', () => {
  it('removes whole sequences and keeps the words', () => {
    expect(terminalLine('\u001b]0;title\u0007a\u001b[1;31mb\u001b[0m\tc\nd\u009b2Je\u202ef')).toBe('ab c def')
    expect(terminalText('one\r\n\n\n\ntwo\u001b]8;;http://x\u001b\\link')).toBe('one\n\ntwolink')
  })

  it('never lets a control, bidi or zero-width character through', () => {
    const nasty = fc.string({ unit: 'binary', maxLength: 60 })
    const escapes = fc
      .array(
        fc.constantFrom(
          '\u001b',
          '[',
          ']',
          '0;',
          '31m',
          '\u0007',
          '\u009b',
          '\u009c',
          '\\',
          'a',
          '\u202e',
          '\r',
          '\n',
          '\u200b',
        ),
      )
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(nasty, escapes), (raw) => {
        expect(terminalLine(raw)).not.toMatch(/[\p{Cc}\p{Cf}]/u)
        expect(terminalText(raw).replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      }),
      { seed: 11, numRuns: 400 },
    )
  })
})

describe('progress without a terminal', () => {
  it('prints the phase, counts, rates and time left every few seconds, and at the end', () => {
    const stream = new Sink(false)
    let clock = 0
    const progress = terminalProgress({ stream, now: () => clock, lineInterval: 5 })
    progress.start('imitate', 10, 'steps')
    for (let step = 0; step < 4; step++) {
      clock += 2000
      progress.advance(1, 600)
    }
    progress.note('\u001b[31mfell back\u001b[0m to\none thread')
    progress.end()
    progress.end()
    const lines = stream.text.trimEnd().split('\n')
    expect(lines).toEqual([
      'imitate: 10 steps',
      'imitate: 3/10 steps (30 %), 2.0 s/step, 300 tokens/s, 6.0 s elapsed, 14 s left',
      'fell back to one thread',
      'imitate: 4/10 steps (40 %), 2.0 s/step, 300 tokens/s, 8.0 s elapsed, 12 s left',
    ])
    expect(stream.text).not.toContain('\u001b')
  })

  it('does not take the steps of a resumed run for speed', () => {
    const stream = new Sink(false)
    let clock = 0
    const progress = terminalProgress({ stream, now: () => clock, lineInterval: 1e9 })
    progress.start('internalize', 30, 'steps')
    progress.advance(20, 0)
    clock = 10_000
    progress.advance(1, 500)
    progress.end()
    expect(stream.text).toContain(
      '21/30 steps (70 %), 10.0 s/step, 50.0 tokens/s, 10 s elapsed, 1 min 30 s left',
    )
  })

  it('follows the last minute, and closes a phase that the next one interrupts', () => {
    const stream = new Sink(false)
    let clock = 0
    const progress = terminalProgress({ stream, now: () => clock, lineInterval: 1e9 })
    progress.start('collect', 1000, 'instances')
    for (let second = 0; second < 200; second++) {
      clock += 1000
      progress.advance(second < 100 ? 1 : 5, 10)
    }
    progress.start('imitate', 3, 'steps')
    expect(stream.text).toContain('collect: 600/1000 instances (60 %), 5.00 instances/s')
    expect(stream.text).toContain('imitate: 3 steps')
    progress.end()
  })
})

describe('progress on a terminal', () => {
  it('draws a bar with the same facts and prints notes above it', () => {
    const stream = new Sink(true)
    let clock = 0
    const progress = terminalProgress({ stream, now: () => clock })
    progress.start('internalize', 30, 'steps')
    clock = 4000
    progress.advance(15, 4800)
    progress.note('zero spread in \u001b]0;x\u00073 groups')
    progress.end()
    expect(stream.text).toContain('internalize')
    expect(stream.text).toContain('15/30 steps')
    expect(stream.text).toContain('1200 tokens/s')
    expect(stream.text).toContain('4.0 s left')
    expect(stream.text).toContain('zero spread in 3 groups')
  })
})

describe('tables', () => {
  it('prints HR@1 with its interval', () => {
    const text = renderTable([row], { color: false })
    for (const cell of [
      'Imitated',
      'think, then score',
      '500',
      '0.1234',
      '[0.101, 0.146]',
      '0.4000',
      '93.4 %',
    ])
      expect(text).toContain(cell)
    expect(text).not.toContain('\u001b')
  })

  it('is a Markdown table of as many columns in every line', () => {
    const lines = markdownTable([row]).split('\n')
    expect(lines).toHaveLength(3)
    expect(new Set(lines.map((line) => line.split('|').length)).size).toBe(1)
    expect(lines[2]).toContain('0.1234 \\[0.101, 0.146\\]')
  })

  it('disarms formula cells in CSV and quotes as RFC 4180', () => {
    expect(csvCell('=cmd()|calc')).toBe("'=cmd()|calc")
    expect(['+1', '-1', '@x', '\tx', '\rx'].map((cell) => csvCell(cell).replace(/^"/, '')[0])).toEqual([
      "'",
      "'",
      "'",
      "'",
      "'",
    ])
    expect(csvCell('a "b", c')).toBe('"a ""b"", c"')
    expect(csvCell(-0.5)).toBe('-0.5')
    expect(tableCsv([row]).split('\r\n')[1]).toBe(
      'imitated,think_score,500,0.1234,0.4,0.3,0.25,0.101,0.36,0.27,0.22,0.146,0.44,0.33,0.28,0.934',
    )
  })
})

describe('samples', () => {
  it('shows history, reasoning, answer and verdict in a box without any sequence of theirs', () => {
    const box = renderSample(sample, { color: false, width: 80 })
    for (const text of [
      'Imitated, step 20',
      'Blue Train → Head Hunters',
      'Small groups.',
      'Then modal.',
      'Moanin’',
      '✗ miss',
      'reward -0.250',
      'Time Out',
    ]) {
      expect(box).toContain(text)
    }
    expect(box).not.toContain('\u001b')
    expect(new Set(box.split('\n').map((line) => [...line].length))).toEqual(new Set([80]))
    expect(renderSample({ ...sample, hit: true }, { color: false })).toContain('✓ hit')
  })

  it('follows instances that several models were asked, changed outcomes first', () => {
    const of = (model: string, instance: string, hit: boolean): SampleLine => ({
      ...sample,
      model,
      instance,
      hit,
    })
    const chosen = chooseSamples(
      [
        of('base', 'a', false),
        of('imitated', 'a', false),
        of('internalized', 'a', false),
        of('base', 'b', false),
        of('imitated', 'b', true),
        of('internalized', 'b', true),
        of('internalized', 'c', true),
        of('internalized', 'd', false),
        of('base', 'e', true),
      ],
      { followed: 1, hits: 4, misses: 4 },
    )
    expect(chosen.followed.map(({ instance }) => instance)).toEqual(['b'])
    expect(chosen.followed[0]?.steps.map(({ model }) => model)).toEqual(['base', 'imitated', 'internalized'])
    expect(chosen.hits.map(({ instance }) => instance)).toEqual(['c'])
    expect(chosen.misses.map(({ instance }) => instance)).toEqual(['a', 'd'])
  })
})

describe('escaping', () => {
  it('escapes every value put into an html template, once', () => {
    expect(
      html`<p title="${'"x"'}">${'<b>&'}${html`<i>${"it's"}</i>`}${['a', html`<br>`]}${false}${null}</p>`
        .markup,
    ).toBe('<p title="&quot;x&quot;">&lt;b&gt;&amp;<i>it&#39;s</i>a<br></p>')
    expect(escapeHtml('a\u0000\u001b[31m\u202eb')).toBe('a[31mb')
  })

  it('leaves no active Markdown', () => {
    expect(escapeMarkdown('[x](javascript:1) <b> | `c` https://e.org')).toBe(
      '\\[x\\](javascript:1) &lt;b&gt; \\| \\`c\\` https\\://e.org',
    )
    expect(escapeMarkdown('- item')).toBe('\\- item')
    expect(escapeMarkdown('1. item')).toBe('1\\. item')
    expect(escapeMarkdown('0.1234')).toBe('0.1234')
  })
})
