/**
 * Which linears of a decoder an adapter_config.json names, by PEFT's rules: a list matches a module whose name is
 * an entry or ends in `.entry`; a text is a regular expression over the whole name, or `all-linear`;
 * exclude_modules wins; layers_to_transform narrows a list. Names are those below `base_model.model.`, such as
 * `model.layers.0.self_attn.q_proj`.
 *
 * Patterns come from outside. They are read as JavaScript's with the u flag, which shares Python's meaning for
 * what it accepts and refuses the rest; a repeated group that itself repeats is refused, and all matching runs
 * under a time limit that ends any other runaway.
 */

import vm from 'node:vm'
import type { LinearName } from './native.js'

export interface ModuleName {
  readonly layer: number
  readonly linear: LinearName
  readonly name: string
}

export interface ModuleRules {
  readonly target_modules: string | readonly string[]
  readonly exclude_modules?: string | readonly string[] | null | undefined
  readonly layers_to_transform?: number | readonly number[] | null | undefined
  readonly layers_pattern?: string | readonly string[] | null | undefined
}

/** Why a pattern is not used; the caller names the key it came from. */
export class PatternError extends Error {
  readonly pattern: string

  constructor(pattern: string, reason: string) {
    super(reason)
    this.name = 'PatternError'
    this.pattern = pattern
  }
}

const longestPattern = 10_000 // characters
const timeLimit = 1_000 // milliseconds for all names; honest patterns need one or two

export const linearNames = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const satisfies readonly LinearName[]

const attention: ReadonlySet<LinearName> = new Set(['q_proj', 'k_proj', 'v_proj', 'o_proj'])

/** What else of a decoder has weights an adapter could be put on; the engine adapts none of it. */
export const otherModules = ['model.embed_tokens', 'lm_head'] as const

export function moduleName(layer: number, linear: LinearName): string {
  return `model.layers.${layer}.${attention.has(linear) ? 'self_attn' : 'mlp'}.${linear}`
}

/** Every linear of a decoder, layer by layer in the engine's order. */
export function decoderModules(layers: number): ModuleName[] {
  return Array.from({ length: layers }, (_, layer) =>
    linearNames.map((linear) => ({ layer, linear, name: moduleName(layer, linear) })),
  ).flat()
}

/** The names that the rules take. @throws PatternError */
export function matched(rules: ModuleRules, names: readonly string[]): ReadonlySet<string> {
  const { target_modules: targets, exclude_modules: excluded } = rules
  if (targets === 'all-linear') {
    const linear = names.filter((name) => linearNames.some((suffix) => name.endsWith(`.${suffix}`)))
    return new Set(without(linear, excluded))
  }
  if (typeof targets === 'string') return new Set(without(names.filter(whole(targets, names)), excluded))
  return new Set(without(inLayers(rules, names.filter(listed(targets))), excluded))
}

/** For each name the first key whose pattern fits its end (PEFT's rank_pattern and alpha_pattern). @throws PatternError */
export function patternKeys(keys: readonly string[], names: readonly string[]): ReadonlyMap<string, string> {
  const rows = keys.map((key) => ({ key, fits: new Set(fitting(key, `^(?:.*\\.)?(?:${key})$`, names)) }))
  const found = names.map((name) => [name, rows.find(({ fits }) => fits.has(name))?.key] as const)
  return new Map(found.filter((pair): pair is readonly [string, string] => pair[1] !== undefined))
}

function without(names: readonly string[], excluded: ModuleRules['exclude_modules']): readonly string[] {
  if (excluded == null || excluded.length === 0) return names
  const drop = typeof excluded === 'string' ? whole(excluded, names) : listed(excluded)
  return names.filter((name) => !drop(name))
}

function inLayers(rules: ModuleRules, names: readonly string[]): readonly string[] {
  const { layers_to_transform: layers, layers_pattern: pattern } = rules
  if (layers == null || (typeof layers !== 'number' && layers.length === 0)) return names
  const wanted = new Set(typeof layers === 'number' ? [layers] : layers)
  const folders = typeof pattern === 'string' ? [pattern] : (pattern ?? [])
  const inFolder = new Set(
    folders.flatMap((folder) => fitting(folder, `^(?:.*?\\.)?(?:${folder})\\.\\d+\\.`, names)),
  )
  return names.filter((name) => {
    const layer = /\.(\d+)\./.exec(name)?.[1]
    return layer !== undefined && wanted.has(Number(layer)) && (folders.length === 0 || inFolder.has(name))
  })
}

function listed(entries: readonly string[]): (name: string) => boolean {
  return (name) => entries.some((entry) => name === entry || name.endsWith(`.${entry}`))
}

function whole(pattern: string, names: readonly string[]): (name: string) => boolean {
  const fits = new Set(fitting(pattern, `^(?:${pattern})$`, names))
  return (name) => fits.has(name)
}

/** The names that `source` fits; `pattern` is what the file says, for errors. */
function fitting(pattern: string, source: string, names: readonly string[]): string[] {
  if (pattern.length > longestPattern) throw new PatternError(pattern, `longer than ${longestPattern}`)
  if (repeatsARepetition(pattern)) throw new PatternError(pattern, 'it repeats a group that repeats')
  try {
    const found: unknown = vm.runInNewContext(
      'const fits = new RegExp(source, "u"); JSON.stringify(JSON.parse(names).filter((name) => fits.test(name)))',
      { source, names: JSON.stringify(names) },
      { timeout: timeLimit },
    )
    return JSON.parse(String(found)) as string[]
  } catch (error) {
    const slow = (error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
    throw new PatternError(
      pattern,
      slow ? 'matching it takes too long' : 'it is no pattern both languages share',
    )
  }
}

/** (a+)+ and its kind, which can take exponential time. */
export function repeatsARepetition(pattern: string): boolean {
  const repeatsInside: boolean[] = [false]
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]
    const unbounded = (position: number): boolean =>
      /^(?:[*+]|\{\d+,\})/.test(pattern.slice(position, position + 16))
    if (character === '\\') at++
    else if (character === '[') at = endOfClass(pattern, at)
    else if (character === '(') repeatsInside.push(false)
    else if (character === ')') {
      const inside = repeatsInside.pop() ?? false
      if (inside && unbounded(at + 1)) return true
      if (repeatsInside.length === 0) repeatsInside.push(false)
      if (inside) repeatsInside[repeatsInside.length - 1] = true
    }
    if (unbounded(at + 1)) repeatsInside[repeatsInside.length - 1] = true
  }
  return false
}

function endOfClass(pattern: string, start: number): number {
  for (let at = start + 1; at < pattern.length; at++) {
    if (pattern[at] === '\\') at++
    else if (pattern[at] === ']') return at
  }
  return pattern.length
}
