/** Fewer points of a curve that look the same: of each stretch the lowest and the highest, so that no spike is lost. */

export interface Points {
  readonly x: readonly number[]
  readonly y: readonly number[]
}

/** At most about `most` points; the first and the last are among them. */
export function decimated({ x, y }: Points, most: number): Points {
  const n = x.length
  if (n <= most) return { x, y }
  const stretches = Math.max(1, Math.floor((most - 2) / 2))
  const kept = new Set([0, n - 1])
  for (let stretch = 0; stretch < stretches; stretch++) {
    const begin = Math.floor((n * stretch) / stretches)
    const end = Math.floor((n * (stretch + 1)) / stretches)
    let [low, high] = [begin, begin]
    for (let i = begin; i < end; i++) {
      if ((y[i] as number) < (y[low] as number)) low = i
      if ((y[i] as number) > (y[high] as number)) high = i
    }
    kept.add(low).add(high)
  }
  const places = [...kept].sort((a, b) => a - b)
  return { x: places.map((i) => x[i] as number), y: places.map((i) => y[i] as number) }
}
