/** Settings of the teacher that are fine one by one and cannot work together, keys that were renamed, values never shown. */

import { ReasonrecError } from '../engine/errors.js'
import type { Config } from './schema.js'

interface Rule {
  readonly broken: (config: Config) => boolean
  readonly what: string
  readonly remedy: string
}

const rules: readonly Rule[] = [
  {
    broken: ({ collect, teacher }) => collect.k_free + collect.k_hint === 0 && teacher.kind === 'self',
    what: 'collect.k_free and collect.k_hint are both 0',
    remedy: 'sample at least once, or set teacher.kind to builtin',
  },
  {
    broken: ({ teacher }) => teacher.kind === 'openai' && teacher.model === null,
    what: 'teacher.kind openai without teacher.model',
    remedy: 'name the model as its server knows it',
  },
  {
    broken: ({ teacher }) => teacher.kind === 'openai' && teacher.baseURL === null && !teacher.replay,
    what: 'teacher.kind openai without teacher.baseURL',
    remedy: 'give the address of the server, up to and with /v1',
  },
  {
    broken: ({ teacher }) => !teacher.insecure && isClear(teacher.baseURL),
    what: 'teacher.baseURL is http:// to another machine, where everybody on the way reads prompts and key',
    remedy: 'use https://, or set teacher.insecure to true',
  },
  {
    broken: ({ teacher }) => teacher.max_cost !== null && teacher.price_in + teacher.price_out === 0,
    what: 'teacher.max_cost without a price',
    remedy: 'set teacher.price_in and teacher.price_out',
  },
  {
    broken: ({ judge }) => judge.model !== null && judge.baseURL === null && !judge.replay,
    what: 'judge.model without judge.baseURL',
    remedy: 'give the address of the server, up to and with /v1',
  },
  {
    broken: ({ judge }) => !judge.insecure && isClear(judge.baseURL),
    what: 'judge.baseURL is http:// to another machine, where everybody on the way reads prompts and key',
    remedy: 'use https://, or set judge.insecure to true',
  },
  {
    broken: ({ judge }) => judge.max_cost !== null && judge.price_in + judge.price_out === 0,
    what: 'judge.max_cost without a price',
    remedy: 'set judge.price_in and judge.price_out',
  },
]

export function checkTeacherRules(config: Config): void {
  const rule = rules.find(({ broken }) => broken(config))
  if (rule) throw new ReasonrecError('RR_CONFIG_VALUE', rule.what, { remedy: rule.remedy })
}

function isClear(address: string | null): boolean {
  if (!address?.startsWith('http://')) return false
  const { hostname } = new URL(address)
  return !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}

/** Somebody may have written a key there. */
export function hidden([section]: readonly PropertyKey[]): boolean {
  return section === 'teacher' || section === 'judge'
}

/** collect.regime is teacher.kind since there are teachers behind a server. */
export function withRenamedKeys(values: unknown): unknown {
  const { collect, teacher } = (values ?? {}) as Readonly<Record<string, object | undefined>>
  if (!collect || typeof collect !== 'object' || !('regime' in collect)) return values
  const { regime, ...others } = collect
  return { ...(values as object), collect: others, teacher: { kind: regime, ...teacher } }
}
