/** Instructions of one call of each kernel, counted by callgrind, which has AVX2 and no AVX-512. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/**
 * Instructions by kernel; null where this machine cannot run the instruction set under callgrind.
 * @param program reasonrec_kernel_calls
 */
export function countedInstructions(program: string, isa: string): Record<string, number> | null {
  const folder = mkdtempSync(path.join(tmpdir(), 'reasonrec-callgrind-'))
  try {
    const out = path.join(folder, 'out')
    const options = ['--toggle-collect=measured_call', '--dump-after=measured_call']
    const { status, stdout, stderr } = spawnSync(
      'valgrind',
      ['--tool=callgrind', `--callgrind-out-file=${out}`, ...options, program, isa],
      { encoding: 'utf8' },
    )
    if (status === 2) return null
    if (status !== 0) throw new Error(`callgrind ended with ${status}: ${stderr.slice(-2000)}`)
    const names = stdout.trim().split('\n')
    return Object.fromEntries(names.map((name, i) => [name, total(`${out}.${i + 1}`)]))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function total(file: string): number {
  const found = /^totals: (\d+)$/m.exec(readFileSync(file, 'utf8'))
  if (!found) throw new Error(`${file} holds no totals`)
  return Number(found[1])
}
