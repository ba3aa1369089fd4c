/**
 * Builds the native addon: build/Release/reasonrec.node. Plain JavaScript, because it runs before
 * anything is compiled. Used by `npm run build:native`, by npm's install hook and, in a child process,
 * by the first import (load.ts).
 *
 * Order: cmake-js, then node-gyp, then an error that says what is missing. One builder at a time (a
 * lock folder with the owner's pid). Objects stay in build/cmake or build/gyp; a product replaces the
 * old one only after a child process has loaded it, by rename, so a running program keeps its copy.
 *
 *   --force         build again although nothing changed     --with cmake|gyp   only this way
 *   --tests [ARGS]  build and run the native tests           --install          a failure is a warning
 *   --emu [ARGS]    the same for the CUDA kernels' tests under the CPU emulator
 *   --cuda          build libreasonrec_cuda.so where nvcc is, and say where it is not
 *   --kernel-calls [ARGS]  the same for one call of each kernel, which npm run check:instructions counts
 *   --sources       print the C++ files (binding.gyp)
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const build = path.join(root, 'build')
const lock = path.join(root, '.build-lock')
const logFile = path.join(build, 'build.log')
const require = createRequire(path.join(root, 'package.json'))

export const addonPath = path.join(build, 'Release', 'reasonrec.node')
const cudaLibraryPath = path.join(build, 'Release', 'libreasonrec_cuda.so')
const hashPath = path.join(build, 'Release', 'sources.sha256')

/** The C++ files of native/sources.txt, relative to the package. */
export function nativeSources() {
  const lines = readFileSync(path.join(root, 'native', 'sources.txt'), 'utf8').split('\n')
  return lines
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => `native/${line}`)
}

/** SHA-256 over everything a build depends on, and the platform. */
function sourcesHash() {
  const headers = readdirSync(path.join(root, 'native'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.h') || name.endsWith('.inl'))
    .map((name) => `native/${name.split(path.sep).join('/')}`)
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  for (const file of ['CMakeLists.txt', 'binding.gyp', ...nativeSources(), ...headers.sort()]) {
    const full = path.join(root, file)
    hash
      .update(`${file}\n`)
      .update(existsSync(full) ? readFileSync(full) : '')
      .update('\0')
  }
  return hash.digest('hex')
}

/** True when the addon is there and was built from the sources as they are now. */
export function addonIsFresh() {
  return existsSync(addonPath) && existsSync(hashPath) && readFileSync(hashPath, 'utf8') === sourcesHash()
}

function say(text) {
  process.stderr.write(`reasonrec: ${text}\n`)
}

/** Runs a command with its output in build/build.log; true where it exits with 0. */
function run(command, args, options = {}) {
  mkdirSync(build, { recursive: true })
  const log = openSync(logFile, 'a')
  writeSync(log, `> ${command} ${args.join(' ')}\n`)
  return spawnSync(command, args, { cwd: root, stdio: ['ignore', log, log], ...options }).status === 0
}

function resolveModule(name) {
  try {
    return require.resolve(name)
  } catch {
    return undefined
  }
}

function hasCmake() {
  const version = /version (\d+)\.(\d+)/.exec(
    spawnSync('cmake', ['--version'], { encoding: 'utf8' }).stdout ?? '',
  )
  return version !== null && (Number(version[1]) > 3 || Number(version[2]) >= 20)
}

/** Builds one CMake target in build/cmake. A tree that was configured elsewhere is made anew once. */
function cmake(target, jobs = os.availableParallelism()) {
  const bin = resolveModule('cmake-js/bin/cmake-js')
  if (!bin || !hasCmake()) return false
  const out = path.join(build, 'cmake')
  const args = [
    bin,
    'build',
    '--out',
    out,
    '--config',
    'Release',
    '--target',
    target,
    '--parallel',
    String(jobs),
  ]
  if (run(process.execPath, args)) return true
  const cache = path.join(out, 'CMakeCache.txt')
  if (
    existsSync(cache) &&
    readFileSync(cache, 'utf8').includes(
      `CMAKE_HOME_DIRECTORY:INTERNAL=${realpathSync(root).replace(/\/$/, '')}\n`,
    )
  )
    return false
  rmSync(out, { recursive: true, force: true })
  return run(process.execPath, args)
}

/** node-gyp always builds in ./build, so it gets a folder of links whose ./build is its own. */
function gyp() {
  const bin = [
    resolveModule('node-gyp/bin/node-gyp.js'),
    process.env.npm_config_node_gyp,
    path.join(
      path.dirname(process.execPath),
      '../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js',
    ),
  ].find((file) => file && existsSync(file))
  if (!bin) return false
  const out = path.join(build, 'gyp')
  mkdirSync(out, { recursive: true })
  copyFileSync(path.join(root, 'binding.gyp'), path.join(out, 'binding.gyp'))
  for (const name of ['native', 'src', 'dist', 'node_modules', 'package.json']) {
    const link = path.join(out, name)
    if (lstatSync(link, { throwIfNoEntry: false })) rmSync(link)
    if (existsSync(path.join(root, name))) symlinkSync(path.join(root, name), link)
  }
  const args = [
    bin,
    existsSync(path.join(out, 'build', 'Makefile')) ? 'build' : 'rebuild',
    '--release',
    `--jobs=${os.availableParallelism()}`,
  ]
  const prefix = path.resolve(path.dirname(process.execPath), '..')
  const headers = ['node_api.h', 'common.gypi'].every((name) =>
    existsSync(path.join(prefix, 'include/node', name)),
  )
  if (!process.env.npm_config_nodedir && headers) args.push(`--nodedir=${prefix}`) // no download
  return (
    run(process.execPath, args, { cwd: out }) ||
    run(process.execPath, [bin, 'rebuild', ...args.slice(2)], { cwd: out })
  )
}

/** Puts a product in place if a child process can load it. */
function publish(product, hash) {
  if (!existsSync(product)) return false
  mkdirSync(path.dirname(addonPath), { recursive: true })
  const staged = `${addonPath}.${process.pid}.tmp`
  copyFileSync(product, staged)
  const loads = run(process.execPath, [
    '-e',
    'process.dlopen({ exports: {} }, process.argv[1], os.constants.dlopen.RTLD_NOW)',
    staged,
  ])
  if (!loads) {
    rmSync(staged, { force: true })
    return false
  }
  renameSync(staged, addonPath)
  writeFileSync(hashPath, hash)
  return true
}

function alive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Calls `work` as the only builder; waits at most 20 minutes for another one. */
function exclusively(work) {
  const owner = path.join(lock, 'pid')
  for (const start = Date.now(); ; ) {
    try {
      mkdirSync(lock)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const pid = existsSync(owner) ? Number(readFileSync(owner, 'utf8')) : 0
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (pid > 0 ? !alive(pid) : age > 5_000) rmSync(lock, { recursive: true, force: true })
    else if (Date.now() - start > 20 * 60_000)
      throw new Error(`another build (pid ${pid}) has held ${lock} for 20 minutes`)
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  }
  try {
    writeFileSync(owner, String(process.pid))
    return work()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

/** Builds the addon where needed. Returns an explanation of a failure, or undefined. */
function buildAddon({ force, way }) {
  return exclusively(() => {
    if (!force && addonIsFresh()) return undefined
    rmSync(logFile, { force: true })
    const hash = sourcesHash()
    if (way !== 'gyp') {
      say('building the native addon with cmake')
      if (cmake('reasonrec') && publish(path.join(build, 'cmake', 'Release', 'reasonrec.node'), hash))
        return undefined
    }
    if (way !== 'cmake') {
      say('building the native addon with node-gyp')
      if (gyp() && publish(path.join(build, 'gyp', 'build', 'Release', 'reasonrec.node'), hash))
        return undefined
    }
    return 'RR_ADDON_UNAVAILABLE: the native addon could not be built; needed are a C++20 compiler (g++ 11 or clang 14 or later) and cmake 3.20 or later, or python3 and make'
  })
}

/** Builds and runs a program of native tests; the exit status is theirs. */
function nativeTests(target, args) {
  const built = exclusively(() => {
    rmSync(logFile, { force: true })
    return cmake(target)
  })
  if (!built && !hasCmake()) {
    say('native tests skipped: cmake 3.20 or later is not installed')
    return 0
  }
  if (!built) {
    showLog()
    say('RR_ADDON_UNAVAILABLE: the native tests could not be built')
    return 1
  }
  const program = path.join(build, 'cmake', target)
  return spawnSync(program, args, { cwd: root, stdio: 'inherit' }).status ?? 1
}

/** Builds the CUDA library beside the addon. No nvcc is no failure: nothing else needs the library. */
function cudaLibrary() {
  if (!hasNvcc() || !hasCmake()) {
    say('the CUDA library is not built: nvcc and cmake 3.20 or later are not both installed')
    return 0
  }
  const built = exclusively(() => {
    rmSync(logFile, { force: true })
    return cmake('reasonrec_cuda', 1) // one nvcc at a time: each takes a gigabyte
  })
  if (!built) {
    showLog()
    say('RR_CUDA_UNAVAILABLE: libreasonrec_cuda.so could not be built')
    return 1
  }
  const product = path.join(build, 'cmake', 'Release', 'libreasonrec_cuda.so')
  const staged = `${cudaLibraryPath}.${process.pid}.tmp`
  mkdirSync(path.dirname(cudaLibraryPath), { recursive: true })
  copyFileSync(product, staged)
  renameSync(staged, cudaLibraryPath)
  return 0
}

function hasNvcc() {
  const folders = [process.env.CUDA_HOME, process.env.CUDA_PATH, '/usr/local/cuda']
  const names = ['nvcc', ...folders.filter(Boolean).map((folder) => path.join(folder, 'bin', 'nvcc'))]
  return names.some((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0)
}

function showLog() {
  if (existsSync(logFile))
    process.stderr.write(`${readFileSync(logFile, 'utf8').split('\n').slice(-40).join('\n')}\n`)
}

function main(args) {
  if (args.includes('--sources')) {
    process.stdout.write(`${nativeSources().join('\n')}\n`)
    return 0
  }
  if (args[0] === '--tests') return nativeTests('reasonrec_native_tests', args.slice(1))
  if (args[0] === '--kernel-calls') return nativeTests('reasonrec_kernel_calls', args.slice(1))
  if (args[0] === '--emu') return nativeTests('reasonrec_emu_tests', args.slice(1))
  if (args.includes('--cuda')) return cudaLibrary()
  const failure = buildAddon({
    force: args.includes('--force'),
    way: args.includes('--with') ? args[args.indexOf('--with') + 1] : undefined,
  })
  if (!failure) return 0
  showLog()
  say(failure)
  if (args.includes('--install')) say('the first use will try again')
  return args.includes('--install') ? 0 : 1
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = main(process.argv.slice(2))
