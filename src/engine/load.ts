/**
 * Finds the addon, builds it first where it is missing or older than its sources, and loads it once.
 * The build runs in a child process under a lock, so several programs may start at the same time.
 */

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { addonIsFresh, addonPath } from './build-addon.mjs'
import { ReasonrecError } from './errors.js'
import { callNative, runJob } from './job.js'
import type {
  NativeAddon,
  NativeCeilings,
  NativeKernelCall,
  NativeKernelRun,
  NativeTensorFacts,
} from './native.js'

let loaded: NativeAddon | undefined

/** The addon. The first call may build it (about two minutes, one line on stderr). @throws RR_ADDON_UNAVAILABLE */
export function loadAddon(): NativeAddon {
  if (loaded) return loaded
  if (!addonIsFresh()) build()
  try {
    loaded = createRequire(import.meta.url)(addonPath) as NativeAddon
  } catch (error) {
    throw new ReasonrecError(
      'RR_ADDON_UNAVAILABLE',
      'the native addon does not load',
      { got: (error as Error).message, remedy: 'run npm run build:native' },
      { cause: error },
    )
  }
  return loaded
}

function build(): void {
  process.stderr.write('reasonrec: building the native addon, once\n')
  const script = fileURLToPath(new URL('./build-addon.mjs', import.meta.url))
  const child = spawnSync(process.execPath, [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  if (child.status === 0) return
  throw new ReasonrecError('RR_ADDON_UNAVAILABLE', 'the native addon could not be built', {
    got:
      `${child.stdout ?? ''}${child.stderr ?? ''}`.trim().split('\n').slice(-8).join(' | ') ||
      String(child.error),
    remedy:
      'install cmake or python3, a C++20 compiler (g++ 11 or clang 14 or later) and make, then run npm run build:native',
  })
}

/** Version, instruction set in use and available, threads. @throws RR_ISA_UNAVAILABLE */
export function engineInfo(): ReturnType<NativeAddon['info']> {
  return callNative(() => loadAddon().info())
}

/** The CUDA library and the GPU it found, or why there is none. Opens the library: nothing else here does. */
export function cudaInfo(): ReturnType<NativeAddon['cudaInfo']> {
  return callNative(() => loadAddon().cudaInfo())
}

/** Threads of the pool that all jobs share, from the next job on. Results do not depend on it. @throws RR_USAGE */
export function setThreads(threads: number): Promise<void> {
  return runJob(undefined, () => loadAddon().setThreads(threads))
}

/** Uniforms in (0, 1), one per index in [first, first + count): a pure function of (seed, stream, index). */
export function philox(seed: bigint, stream: bigint, first: bigint, count: number): Float64Array {
  return callNative(() => loadAddon().philox(seed, stream, first, count))
}

/** Names, dtypes and shapes of a safetensors file. @throws RR_FILE_NOT_FOUND, RR_BAD_SAFETENSORS */
export function inspectSafetensors(file: string): NativeTensorFacts[] {
  return callNative(() => loadAddon().inspectSafetensors(file))
}

/** One kernel of one instruction set on given arrays, timed inside; null: the fp64 reference has no such kernel. */
export function runKernel(call: NativeKernelCall): Promise<NativeKernelRun | null> {
  return runJob(undefined, (control) => loadAddon().runKernel(call, control))
}

/** What this machine can do at most: `seconds` for each ceiling, `bytes` of the array that is read. */
export function machineCeilings(seconds: number, bytes: number): Promise<NativeCeilings> {
  return runJob(undefined, (control) => loadAddon().machineCeilings(seconds, bytes, control))
}
