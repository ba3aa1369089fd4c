/** The board's page: asks the server of the address's token for runs and curves, draws them again as they grow. */

import uPlot from '/uplot.mjs'

const token = location.hash.slice(1)
const colours = ['#3b7dd8', '#d97b29', '#2a9d58', '#b0477f', '#7a63c7', '#8f8a1d', '#1c9aa8', '#c0564b']
const phases = ['collect', 'imitate', 'internalize']
const period = 2000
const selected = new Map() // id -> colour
const seen = new Map() // id -> {tag, series}
const charts = new Map() // key -> {plot, names}

let shownList = ''

const element = (id) => document.getElementById(id)

async function ask(path, tag) {
  const headers = { Authorization: `Bearer ${token}`, ...(tag && { 'If-None-Match': tag }) }
  const answer = await fetch(path, { headers, cache: 'no-store' })
  if (answer.status === 304) return null
  if (!answer.ok) throw new Error(await answer.text())
  return { tag: answer.headers.get('etag'), body: await answer.json() }
}

function made(name, properties = {}, children = []) {
  const node = Object.assign(document.createElement(name), properties)
  node.append(...children)
  return node
}

async function showRuns() {
  const { body } = await ask('/api/runs')
  element('root').textContent = body.root
  if (selected.size === 0 && body.runs.length > 0) select(body.runs[0].id)
  const list = JSON.stringify([body.runs, ...selected])
  if (list === shownList) return // a list that is not touched keeps the focus
  shownList = list
  const entries = body.runs.map((run) => {
    const box = made('input', { type: 'checkbox', checked: selected.has(run.id) })
    box.addEventListener('change', () => {
      if (box.checked) select(run.id)
      else selected.delete(run.id)
      refresh()
    })
    const swatch = made('span', { className: 'swatch' })
    swatch.style.background = selected.get(run.id) ?? 'transparent'
    const hit = run.hr1 === null ? '' : `, HR@1 ${run.hr1.toFixed(3)}`
    const facts = `${run.status}, ${run.done.length} of ${run.plan.length} phases${hit}`
    const text = made('span', { textContent: run.id })
    return made('li', {}, [
      made('label', {}, [box, swatch, text, made('span', { className: 'facts', textContent: facts })]),
    ])
  })
  element('runs').replaceChildren(...entries)
}

function select(id) {
  const free = colours.find((colour) => ![...selected.values()].includes(colour))
  selected.set(id, free ?? colours[selected.size % colours.length])
}

async function showCurves() {
  for (const id of selected.keys()) {
    const found = await ask(`/api/curves?run=${encodeURIComponent(id)}`, seen.get(id)?.tag)
    if (found) seen.set(id, { tag: found.tag, series: found.body.series })
  }
  const keys = [...new Set([...selected.keys()].flatMap((id) => Object.keys(seen.get(id)?.series ?? {})))]
  for (const phase of phases) {
    const own = keys.filter((key) => key.startsWith(`${phase}.`))
    if (own.length > 0) for (const key of own) draw(key, gridOf(phase))
  }
  for (const [key, { box }] of charts) box.hidden = !keys.includes(key)
}

function gridOf(phase) {
  const there = element(`grid-${phase}`)
  if (there) return there
  const grid = made('div', { className: 'grid', id: `grid-${phase}` })
  element('charts').append(made('h2', { className: 'phase', textContent: phase }), grid)
  return grid
}

/** One metric, a line for each selected run that has it. */
function draw(key, grid) {
  const runs = [...selected].filter(([id]) => seen.get(id)?.series[key])
  const curves = runs.map(([id]) => [seen.get(id).series[key].x, seen.get(id).series[key].y])
  if (curves.length === 0) return
  const data = curves.length === 1 ? curves[0] : uPlot.join(curves)
  const names = runs.map(([id, colour]) => `${id} ${colour}`).join('\n')
  const known = charts.get(key)
  if (known?.names === names) return known.plot.setData(data)
  known?.plot.destroy()
  const box = known?.box ?? grid.appendChild(made('div', { className: 'chart' }))
  if (!known) box.append(made('h3', { textContent: key.slice(key.indexOf('.') + 1) }))
  const lines = runs.map(([id, colour]) => ({
    label: id,
    stroke: colour,
    width: 1.5,
    spanGaps: true,
    points: { show: curves[0][0].length < 40 },
  }))
  const ink = getComputedStyle(document.body).color
  const axes = [
    { stroke: ink, grid: { stroke: '#8883' }, ticks: { stroke: '#8883' }, size: 28 },
    { stroke: ink, grid: { stroke: '#8883' }, ticks: { stroke: '#8883' }, size: 58 },
  ]
  const shape = { width: Math.max(240, box.clientWidth - 16), height: 150 }
  const plot = new uPlot(
    {
      ...shape,
      scales: { x: { time: false } },
      axes,
      legend: { show: false },
      series: [{ label: 'step' }, ...lines],
    },
    data,
    box,
  )
  charts.set(key, { plot, names, box })
}

/** The table and the prompts are those of the run selected first. */
async function showFirst() {
  const [first] = selected.keys()
  if (first === undefined) return
  const query = `?run=${encodeURIComponent(first)}`
  const [table, prompts] = await Promise.all([ask(`/api/table${query}`), ask(`/api/prompts${query}`)])
  element('table').replaceChildren(...tableOf(table.body, first))
  const open = new Set([...document.querySelectorAll('#prompts details[open]')].map(({ id }) => id))
  element('prompts').replaceChildren(
    ...(prompts.body.length > 0 ? [made('h2', { textContent: `what it wrote: ${first}` })] : []),
    ...prompts.body.map((prompt) => promptOf(prompt, open)),
  )
}

function tableOf(rows, run) {
  if (rows.length === 0) return []
  const heads = ['row', 'answers by', 'n', 'HR@1', 'NDCG@5', 'MRR']
  const number = (value) => (typeof value === 'number' ? value.toFixed(4) : '')
  const cells = ({ id, name, mode, n, hr1, ndcg5, mrr }) => [
    name ?? id,
    mode,
    n,
    number(hr1),
    number(ndcg5),
    number(mrr),
  ]
  const line = (kind, texts) =>
    made(
      'tr',
      {},
      texts.map((text) => made(kind, { textContent: text })),
    )
  return [
    made('h2', { textContent: `results: ${run}` }),
    made('table', {}, [line('th', heads), ...rows.map((row) => line('td', cells(row)))]),
  ]
}

function promptOf({ instance, history, target, answers }, open) {
  const items = answers.map(({ model, step, reasoning, answer, hit }) =>
    made('li', { className: 'answer' }, [
      made('b', { textContent: `${model}, step ${step}: ` }),
      made('span', { textContent: reasoning }),
      made('b', { className: hit ? 'hit' : 'miss', textContent: `\n${hit ? 'hit' : 'miss'}: ${answer}` }),
    ]),
  )
  const id = `prompt-${instance}`
  return made('details', { id, open: open.has(id) }, [
    made('summary', { textContent: `${history.slice(-3).join(' · ')} → ${target} (${answers.length})` }),
    made('p', { textContent: `History: ${history.join(' · ')}` }),
    made('ol', {}, items),
  ])
}

let busy = false
async function refresh() {
  if (busy) return
  busy = true
  try {
    await showRuns()
    await showCurves()
    await showFirst()
    element('state').textContent = `as of ${new Date().toLocaleTimeString()}`
    document.body.dataset.ready = 'yes'
  } catch (error) {
    element('state').textContent = String(error.message ?? error)
  } finally {
    busy = false
  }
}

await refresh()
setInterval(() => !document.hidden && refresh(), period)
