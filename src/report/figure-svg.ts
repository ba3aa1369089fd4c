/**
 * Vega-Lite specification -> SVG text, headless: no DOM, no canvas, no network (data lie in the
 * specification and the loader refuses every address). Vega is imported on first use: it is heavy.
 */

import type { Figure } from './figures.js'

export async function figureSvg(figure: Figure): Promise<string> {
  const [vega, lite] = await Promise.all([import('vega'), import('vega-lite')])
  const compiled = lite.compile(figure.spec, { logger: vega.logger(vega.Error) }).spec
  const refuse = (): Promise<never> => Promise.reject(new Error('figures load nothing'))
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse } as unknown as ReturnType<typeof vega.loader>
  const view = new vega.View(vega.parse(compiled), { renderer: 'none', loader, logLevel: vega.Error })
  const svg = await view.toSVG()
  view.finalize()
  return withOwnIds(svg, figure.id)
}

/** Definition ids are unique per figure, so that several figures can share one page. */
function withOwnIds(svg: string, id: string): string {
  const ids = [...new Set([...svg.matchAll(/\bid="([^"]+)"/g)].map((match) => match[1]!))]
  return ids.reduce(
    (text, own, place) => text.replaceAll(`id="${own}"`, `id="${id}-${place}"`).replaceAll(`url(#${own})`, `url(#${id}-${place})`),
    svg,
  )
}
