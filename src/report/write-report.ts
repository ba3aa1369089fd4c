/**
 * Writes a run's report: report.html, report.md, table.csv, table.json and figures/<id>.{vl.json,svg}.
 * A function of the files of the run directory alone, so writing it twice gives the same bytes.
 */

import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { figureSvg } from './figure-svg.js'
import { figuresOf } from './figures.js'
import { htmlReport } from './html.js'
import { markdownReport } from './markdown.js'
import { readRun } from './run-files.js'
import { storyOf } from './story.js'
import { tableCsv, tableJson } from './table.js'

export interface WrittenReport {
  /** Absolute paths. */
  readonly html: string
  readonly markdown: string
}

/** Throws RR_DATA_NO_RUN where the folder holds no run; a run that stopped early is reported as far as it went. */
export async function writeReport(runDirectory: string): Promise<WrittenReport> {
  const directory = resolve(runDirectory)
  const run = await readRun(directory)
  const figures = figuresOf(run)
  const story = storyOf(run, figures)
  await mkdir(join(directory, 'figures'), { recursive: true })
  const svgs = new Map<string, string>()
  for (const figure of figures) {
    const svg = await figureSvg(figure)
    svgs.set(figure.id, svg)
    await writeFileAtomic(join(directory, 'figures', `${figure.id}.svg`), svg)
    await writeFileAtomic(
      join(directory, 'figures', `${figure.id}.vl.json`),
      `${JSON.stringify(figure.spec, null, 1)}\n`,
    )
  }
  const written = { html: join(directory, 'report.html'), markdown: join(directory, 'report.md') }
  await writeFileAtomic(written.html, htmlReport(story, svgs))
  await writeFileAtomic(written.markdown, markdownReport(story))
  if (run.summary.table) {
    await writeFileAtomic(join(directory, 'table.csv'), tableCsv(run.summary.table))
    await writeFileAtomic(join(directory, 'table.json'), tableJson(run.summary.table))
  }
  return written
}
