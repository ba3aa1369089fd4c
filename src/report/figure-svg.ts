/**
 * Vega-Lite specification -> SVG text, headless: no DOM, no canvas, no network (data lie in the
 * specification and the loader refuses every address). Vega is imported on first use: it is heavy.
 */

import type { Figure } from './figure-style.js'

interface TextMetrics {
  width: (item: { readonly fontSize?: number }, text: unknown) => number
}

export async function figureSvg(figure: Figure): Promise<string> {
  const [vega, lite] = await Promise.all([import('vega'), import('vega-lite')])
  const metrics = (vega as unknown as { textMetrics: TextMetrics }).textMetrics // exported, but not in its types
  metrics.width = (item, text) => textWidth(item.fontSize ?? 11, text)
  const compiled = lite.compile(figure.spec, { logger: vega.logger(vega.Error) }).spec
  const refuse = (): Promise<never> => Promise.reject(new Error('figures load nothing'))
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse } as unknown as ReturnType<
    typeof vega.loader
  >
  const view = new vega.View(vega.parse(compiled), { renderer: 'none', loader, logLevel: vega.Error })
  const svg = await view.toSVG()
  view.finalize()
  return withOwnIds(svg, figure.id)
}

/**
 * Width of a line of text in pixels, from the mean widths of a Helvetica-like face. Vega's own estimate
 * (0.8 of the size for every character) leaves wide empty margins, and a canvas would make the layout
 * depend on the fonts of the machine.
 */
export function textWidth(size: number, text: unknown): number {
  const lines = (Array.isArray(text) ? text : [text]).map((line) => String(line ?? ''))
  return Math.max(
    0,
    ...lines.map((line) => [...line].reduce((sum, character) => sum + size * characterWidth(character), 0)),
  )
}

function characterWidth(character: string): number {
  if (/[iljtfr.,:;'|!()[\] ]/.test(character)) return 0.3
  if (/[mwMW@%—]/.test(character)) return 0.88
  if (/[A-Z]/.test(character)) return 0.68
  return character.codePointAt(0)! >= 0x2e80 ? 1 : 0.56 // East Asian characters fill the square
}

/** Definition ids are unique per figure, so that several figures can share one page. */
function withOwnIds(svg: string, id: string): string {
  const ids = [...new Set([...svg.matchAll(/\bid="([^"]+)"/g)].map((match) => match[1]!))]
  return ids.reduce(
    (text, own, place) =>
      text
        .replaceAll(`id="${own}"`, `id="${id}-${place}"`)
        .replaceAll(`url(#${own})`, `url(#${id}-${place})`),
    svg,
  )
}
