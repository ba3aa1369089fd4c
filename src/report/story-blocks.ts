/** The plain blocks a report is made of. All text in them is unescaped; the writers escape it. */

import type { SampleLine } from '../phases/run/run-record.js'
import type { Figure } from './figure-style.js'
import type { Followed } from './sample.js'

export interface Cell {
  readonly text: string
  /** Second, quieter line: an interval. */
  readonly detail?: string
  readonly strong?: boolean
  readonly quiet?: boolean
}

export type Block =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'warning'; readonly title: string; readonly items: readonly string[] }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | {
      readonly kind: 'headline'
      readonly entries: readonly { label: string; value: string; detail: string }[]
    }
  | { readonly kind: 'facts'; readonly entries: readonly (readonly [string, string])[] }
  | {
      readonly kind: 'table'
      readonly caption: string
      readonly head: readonly string[]
      /** Columns of numbers are set right. */
      readonly numeric: readonly boolean[]
      readonly rows: readonly (readonly (Cell | string)[])[]
    }
  | { readonly kind: 'figures'; readonly figures: readonly Figure[] }
  | { readonly kind: 'followed'; readonly followed: Followed }
  | { readonly kind: 'samples'; readonly title: string; readonly samples: readonly SampleLine[] }
  | { readonly kind: 'code'; readonly text: string }

export interface Section {
  readonly id: string
  readonly title: string
  readonly blocks: readonly Block[]
}

export interface Story {
  readonly title: string
  readonly lead: string
  readonly sections: readonly Section[]
}

export function figuresBlock(figures: readonly Figure[], section: Figure['section']): Block[] {
  const own = figures.filter((figure) => figure.section === section)
  return own.length > 0 ? [{ kind: 'figures', figures: own }] : []
}
