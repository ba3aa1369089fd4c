/** How numbers, shares and durations are written everywhere in the report, on a terminal and in files. */

/** Metrics in [0, 1]: four digits, as the papers of the field print them. */
export function metric(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? '–' : value.toFixed(4)
}

/** A 95 % interval, three digits: more would be noise. */
export function interval(lo: number | undefined, hi: number | undefined): string {
  return lo === undefined || hi === undefined ? '–' : `[${lo.toFixed(3)}, ${hi.toFixed(3)}]`
}

export function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`
}

export function signedInterval(lo: number, hi: number): string {
  const bound = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}`
  return `[${bound(lo)}, ${bound(hi)}]`
}

/** Two-sided p; a bootstrap cannot resolve less than about one in its number of draws. */
export function probability(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toFixed(3)
}

export function count(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? '–' : Math.round(value).toLocaleString('en-US')
}

export function percent(share: number | undefined): string {
  return share === undefined || !Number.isFinite(share) ? '–' : `${(100 * share).toFixed(1)} %`
}

/** Any quantity, four significant digits. */
export function quantity(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Number.isInteger(value)) return count(value)
  const size = Math.abs(value)
  if (size >= 1000) return count(value)
  return size < 0.001 ? value.toExponential(2) : String(Number(value.toPrecision(4)))
}

/** 134 000 000 -> "134 M". */
export function parameters(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–'
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} B`
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`
  return value >= 1e3 ? `${(value / 1e3).toFixed(1)} K` : String(value)
}

/** Seconds -> "3 h 02 min", "4 min 09 s", "12.3 s". */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return '–'
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  const whole = Math.round(seconds)
  const two = (value: number): string => String(value).padStart(2, '0')
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`
}

/** "12.3 MiB" */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
