/** What a teacher behind a server will be asked by RE2's Collection: free samples, and hinted ones where none of them is kept. */

import type { Config } from '../../config/schema.js'
import type { Instance } from '../../data/types.js'
import type { ModelContext } from '../../phases/run/context.js'
import { type TeacherPlan, teacherPlan } from '../../teacher/openai/plan.js'
import { askedTokens } from '../../teacher/openai/prompting.js'
import { re2 } from './index.js'

/** Instances whose prompts are looked at. */
const looked = 64

export function re2TeacherPlan(
  { config, dataset }: Pick<ModelContext, 'config' | 'dataset'>,
  instances: readonly Instance[],
): TeacherPlan {
  const { collect, prompt, teacher } = config
  const method = re2({ maxWords: prompt.max_words })
  const part = (mode: 'reason' | 'hinted', samples: number) => ({
    what: mode === 'reason' ? 'free samples (pass A)' : 'hinted samples (pass B), where no free one is kept',
    questions: instances.length,
    samples,
    promptTokens: askedTokens(
      instances.slice(0, looked).map((instance) => method.prompt(dataset, instance, mode)),
      teacher.structured === 'auto',
    ),
    expectedTokens: Math.round(1.4 * prompt.max_words + 24),
    maxTokens: answerTokens(config),
    conditional: mode === 'hinted' && collect.k_free > 0,
  })
  const parts = [part('reason', collect.k_free), part('hinted', collect.k_hint)]
  return teacherPlan(
    teacher,
    parts.filter(({ samples }) => samples > 0),
  )
}

/** Longest answer in a teacher's tokens, which are not the student's: the limit in words is what both are told. */
export function answerTokens({ collect, prompt }: Config): number {
  return Math.max(collect.max_new, 3 * prompt.max_words + 64)
}
