/** What a teacher behind a server will be asked by R2Rec's Collection: a thought for each step, a blind answer, rankings. */

import type { Instance } from '../../data/types.js'
import type { ModelContext } from '../../phases/run/context.js'
import { type PlannedRequests, type TeacherPlan, teacherPlan } from '../../teacher/openai/plan.js'
import { askedTokens } from '../../teacher/openai/prompting.js'
import { answerTokens, ChatPrompts } from './chat-prompts.js'
import { asR2Rec } from './index.js'
import { stepView, taskOf } from './progressive-masked-prompting.js'
import { ratingQuestions } from './rating-questions.js'

/** Questions whose prompts are looked at. */
const looked = 48

export function r2recTeacherPlan(
  { config, dataset, method }: Pick<ModelContext, 'config' | 'dataset' | 'method'>,
  instances: readonly Instance[],
): TeacherPlan {
  const { r2rec, collect, teacher } = config
  const own = asR2Rec(method)
  const prompts = new ChatPrompts(dataset, own.options)
  const ratings = instances.flatMap((instance) => ratingQuestions(config, own, dataset, instance))
  const tasks = ratings.map(({ question, answer }) => taskOf(question, answer, () => 0n))
  const steps = tasks.reduce((sum, { walk }) => sum + walk.length, 0)
  const thought = 'word '.repeat(r2rec.step_words)
  const stepPrompts = tasks.slice(0, looked).flatMap((task) =>
    task.walk.map((_, index) =>
      prompts.step({
        ...task,
        index,
        thoughts: Array.from({ length: index }, () => thought),
        view: stepView(index, false),
        answer: null,
        stream: 0n,
      }),
    ),
  )
  const { step, ranking } = answerTokens(config)
  const expected = Math.round(1.5 * r2rec.step_words)
  const parts: PlannedRequests[] = [
    {
      what:
        r2rec.prompting === 'one_shot' ? 'all thoughts of a rating question' : 'thoughts of rating questions',
      questions: r2rec.prompting === 'one_shot' ? tasks.length : steps,
      samples: 1,
      promptTokens: askedTokens(stepPrompts, false),
      expectedTokens: r2rec.prompting === 'one_shot' ? 4 * expected : expected,
      maxTokens: r2rec.prompting === 'one_shot' ? 4 * step : step,
      conditional: false,
    },
    {
      what: 'blind answers',
      questions: tasks.length,
      samples: 1,
      promptTokens: askedTokens(
        tasks.slice(0, looked).map(({ question, walk }) =>
          prompts.blind(
            question,
            walk.slice(1).map(() => thought),
          ),
        ),
        teacher.structured === 'auto',
      ),
      expectedTokens: expected,
      maxTokens: step,
      conditional: false,
    },
    {
      what: 'samples of ranking questions',
      questions: instances.length,
      samples: collect.k_free,
      promptTokens: askedTokens(
        instances.slice(0, looked).map((instance) => prompts.whole(instance, null)),
        teacher.structured === 'auto',
      ),
      expectedTokens: 4 * expected,
      maxTokens: ranking,
      conditional: false,
    },
  ]
  return teacherPlan(
    teacher,
    parts.filter(({ questions, samples }) => questions * samples > 0),
  )
}
