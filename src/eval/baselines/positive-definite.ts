/**
 * Inverse of a symmetric positive definite matrix, in place, by Cholesky: A = L L', then L^-1, then
 * A^-1 = L^-T L^-1. n^3 / 2 multiply-adds in fp64 over rows of a flat (n, n) array; all three passes walk along
 * rows, four rows at a time, which keeps them in cache. Only the lower triangle is read.
 */

import { ReasonrecError } from '../../engine/errors.js'

/** `a`: (n, n) row-major. Afterwards the whole inverse. @throws RR_NUMERIC where it is not positive definite */
export function invertPositiveDefinite(a: Float64Array, n: number): void {
  factor(a, n)
  invertLower(a, n)
  multiplyTransposed(a, n)
}

/** Sum of products of two stretches of `length`; four partial sums, whatever the length. */
function dot(x: Float64Array, i: number, y: Float64Array, j: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  let k = 0
  for (; k + 3 < length; k += 4) {
    s0 += (x[i + k] as number) * (y[j + k] as number)
    s1 += (x[i + k + 1] as number) * (y[j + k + 1] as number)
    s2 += (x[i + k + 2] as number) * (y[j + k + 2] as number)
    s3 += (x[i + k + 3] as number) * (y[j + k + 3] as number)
  }
  for (; k < length; k++) s0 += (x[i + k] as number) * (y[j + k] as number)
  return s0 + s1 + (s2 + s3)
}

/** L over the lower triangle: l_ij = (a_ij - l_i . l_j) / l_jj. */
function factor(a: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) {
    const row = i * n
    for (let j = 0; j < i; j++) {
      const at = row + j
      a[at] = ((a[at] as number) - dot(a, row, a, j * n, j)) / (a[j * n + j] as number)
    }
    const rest = (a[row + i] as number) - dot(a, row, a, row, i)
    if (!(rest > 0))
      throw new ReasonrecError('RR_NUMERIC', 'a matrix that should be positive definite is not', {
        expected: `a positive pivot ${i}`,
        got: String(rest),
        remedy: 'raise baselines.ease_l2',
      })
    a[row + i] = Math.sqrt(rest)
  }
}

/**
 * L^-1 over L, row by row: row i is -(sum over k < i of l_ik row_k) / l_ii, and 1 / l_ii on the diagonal. Four
 * earlier rows are added at a time.
 */
function invertLower(a: Float64Array, n: number): void {
  const sum = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const row = i * n
    sum.fill(0, 0, i)
    let k = 0
    for (; k + 3 < i; k += 4) addFour(sum, a, n, row, k)
    for (; k < i; k++) {
      const factor = a[row + k] as number
      for (let j = 0; j <= k; j++) sum[j] = (sum[j] as number) + factor * (a[k * n + j] as number)
    }
    const scale = 1 / (a[row + i] as number)
    for (let j = 0; j < i; j++) a[row + j] = -(sum[j] as number) * scale
    a[row + i] = scale
  }
}

/** sum += four rows k.. of the inverse so far, weighted by l_ik..; row k + r reaches to column k + r. */
function addFour(sum: Float64Array, a: Float64Array, n: number, row: number, k: number): void {
  const [w0, w1, w2, w3] = [a[row + k], a[row + k + 1], a[row + k + 2], a[row + k + 3]] as [
    number,
    number,
    number,
    number,
  ]
  const [r0, r1, r2, r3] = [k * n, (k + 1) * n, (k + 2) * n, (k + 3) * n]
  for (let j = 0; j <= k; j++)
    sum[j] =
      (sum[j] as number) +
      w0 * (a[r0 + j] as number) +
      w1 * (a[r1 + j] as number) +
      w2 * (a[r2 + j] as number) +
      w3 * (a[r3 + j] as number)
  for (let r = 1; r < 4; r++)
    for (let j = k + 1; j <= k + r; j++)
      sum[j] = (sum[j] as number) + (a[row + k + r] as number) * (a[(k + r) * n + j] as number)
}

/** M = L^-T L^-1: m_ij = sum over k >= max(i, j) of l_ki l_kj, four rows k at a time, then mirrored. */
function multiplyTransposed(a: Float64Array, n: number): void {
  // Row i of the result needs rows k >= i of the inverse factor only, so it may take the place of row i.
  const result = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    result.fill(0, 0, i + 1)
    let k = i
    for (; k + 3 < n; k += 4) {
      const [r0, r1, r2, r3] = [k * n, (k + 1) * n, (k + 2) * n, (k + 3) * n]
      const [w0, w1, w2, w3] = [a[r0 + i], a[r1 + i], a[r2 + i], a[r3 + i]] as [
        number,
        number,
        number,
        number,
      ]
      for (let j = 0; j <= i; j++)
        result[j] =
          (result[j] as number) +
          w0 * (a[r0 + j] as number) +
          w1 * (a[r1 + j] as number) +
          w2 * (a[r2 + j] as number) +
          w3 * (a[r3 + j] as number)
    }
    for (; k < n; k++) {
      const weight = a[k * n + i] as number
      for (let j = 0; j <= i; j++) result[j] = (result[j] as number) + weight * (a[k * n + j] as number)
    }
    a.set(result.subarray(0, i + 1), i * n)
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[j * n + i] = a[i * n + j] as number
}
