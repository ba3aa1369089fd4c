/**
 * The audit of a run: that of its data, and whether a prompt shows the target's title anywhere but in the list of
 * candidates (a history, a chain, a fixed word), where a model could find it without reasoning. Prompts are looked
 * at part by part: a title that is a part of its own counts, a title inside our own words counts as whole words.
 */

import type { Instance, Item } from '../../data/types.js'
import { auditOf, verdictOf } from '../../eval/audit/audit.js'
import { type Finding, worstFirst } from '../../eval/audit/findings.js'
import type { Prompt } from '../../prompts/prompt.js'
import { isTransfer, type ModelContext, onTests, type PhaseContext } from '../run/context.js'
import { testInstances } from '../run/instances.js'
import type { RunAudit } from '../run/run-record.js'
import { ranksCatalogue } from './ways-to-answer.js'

/** Prompts looked at; they are made by one rule. */
const looked = 200
/** Shorter titles are words of any sentence. */
const shortestTitle = 4
/** Fewer are titles that happen to be words of ours. */
const leakingShare = 0.01

export function runAudit(given: PhaseContext): RunAudit {
  const context = onTests(given)
  const { verdict, findings: found } = auditOf(given.sets.training.dataset)
  const findings = worstFirst([...promptFinding(context), ...auditOf(context.dataset).findings])
  return {
    verdict: verdictOf(findings),
    findings,
    ...(isTransfer(given) && { trained: { verdict, findings: found } }),
  }
}

function promptFinding({
  config,
  dataset,
  method,
}: Pick<ModelContext, 'config' | 'dataset' | 'method'>): Finding[] {
  const tests = testInstances(dataset, config)
    .slice(0, looked)
    .map((test) => (ranksCatalogue(config) ? { ...test, candidates: [] } : test))
  const outside = tests.filter((test) => {
    const asked = method.question(dataset, test)
    const title = (dataset.items[test.target] as Item).title.text
    return timesShown(method.prompt(dataset, asked, 'reason'), title) > timesListed(test)
  })
  if (outside.length === 0) return []
  return [
    {
      id: 'title_outside_list',
      level: outside.length > leakingShare * tests.length ? 'leak' : 'warn',
      part: 'test',
      what: `${outside.length} of ${tests.length} prompts show the target's title outside the list of candidates`,
      here: 'the rows of this table were asked so',
      mend: 'leave the target out of histories, chains and examples (data.repeat_targets)',
    },
  ]
}

const timesListed = ({ candidates, target }: Instance): number => (candidates.includes(target) ? 1 : 0)

export function timesShown(prompt: Prompt, title: string): number {
  const parts = prompt.messages.flatMap((message) => message.parts)
  return parts.reduce((sum, part) => {
    if (typeof part !== 'string') return sum + (part.text === title ? 1 : 0)
    return sum + (title.length >= shortestTitle ? wholeWords(part, title) : 0)
  }, 0)
}

function wholeWords(text: string, title: string): number {
  const escaped = title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return [...text.matchAll(new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, 'gu'))].length
}
