/**
 * Chat templates without their dangers. A template is rendered once per list of roles, with a unique slot in
 * place of each message's content; the text between slots is the skeleton. Prompts are put together from the
 * skeleton and the messages' parts, so titles never enter the template engine and special tokens come from
 * the skeleton alone. The engine runs in a process of its own (64 MB of heap, 2 s) that ends when all shapes are rendered.
 *
 * A template must place every content exactly once and unchanged; this is checked with a second rendering
 * whose contents hold quotes, markup and line breaks. Contents come without white space at their ends, so a
 * template that trims them is fine.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { ReasonrecError } from '../engine/errors.js'
import type { Message } from './prompt.js'

export type Roles = readonly Message['role'][]

/** texts[k] stands before the content of messages[order[k]]; the last text stands after all of them. */
export interface Skeleton {
  readonly texts: readonly string[]
  readonly order: readonly number[]
  /** The template knows no system role: the system text goes before the user's and order counts from the user's. */
  readonly systemJoinedToUser: boolean
}

interface Job {
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly add_generation_prompt: boolean
  readonly enable_thinking: boolean
}

type Rendering = { readonly text: string } | { readonly error: string }

const heapLimit = 64 // MB
const timeLimit = 2_000 // milliseconds, from the moment the process is up
const startLimit = 30_000 // milliseconds for the process to come up on a loaded machine
const sizeLimit = 1_000_000 // characters of a template
const shapeLimit = 1_000 // shapes kept

/** The shapes prompts of this project have; the last one shows which token ends an assistant's turn. */
export const promptShapes: readonly Roles[] = [
  ['system', 'user'],
  ['user'],
  ['system', 'user', 'assistant', 'user'],
  ['user', 'assistant', 'user'],
]
export const answeredShape: Roles = ['user', 'assistant']

export class ChatTemplate {
  private readonly skeletons = new Map<string, Skeleton | ReasonrecError>()

  private constructor(
    private readonly template: string,
    private readonly variables: Readonly<Record<string, unknown>>,
  ) {}

  /** Throws RR_TEMPLATE_TIMEOUT, RR_TEMPLATE_MEMORY, or RR_TEMPLATE_UNSUPPORTED if not even [user] works. */
  static async compile(
    template: string,
    variables: Readonly<Record<string, unknown>>,
  ): Promise<ChatTemplate> {
    const chat = new ChatTemplate(template, variables)
    await chat.add([
      ...promptShapes.map((roles) => ({ roles, open: true })),
      { roles: answeredShape, open: false },
    ])
    const failures = [
      chat.skeletons.get(shapeKey(['user'])),
      chat.skeletons.get(shapeKey(['system', 'user'])),
    ]
    if (failures.every((found) => found instanceof ReasonrecError)) throw failures[0]
    return chat
  }

  /**
   * Makes skeleton(roles) know a conversation of another shape, at the cost of a process the first time. Throws
   * RR_TEMPLATE_TIMEOUT and RR_TEMPLATE_MEMORY; a shape that the template refuses is refused by skeleton().
   */
  async prepare(roles: Roles): Promise<void> {
    if (this.skeletons.has(shapeKey(roles))) return
    if (this.skeletons.size >= shapeLimit) {
      for (const key of [...this.skeletons.keys()].slice(promptShapes.length + 1)) this.skeletons.delete(key)
    }
    const shapes = roles[0] === 'system' && roles.length > 1 ? [roles, roles.slice(1)] : [roles]
    await this.add(shapes.map((shape) => ({ roles: shape, open: true })))
  }

  private async add(shapes: readonly { readonly roles: Roles; readonly open: boolean }[]): Promise<void> {
    const slots = shapes.map(({ roles }) => roles.map(slot))
    const jobs = shapes.flatMap(({ roles, open }, index) => {
      const names = slots[index] ?? []
      return [job(roles, names, open), job(roles, names.map(probe), open)]
    })
    const renderings = await renderApart(this.template, this.variables, jobs)
    shapes.forEach(({ roles }, index) => {
      const result = skeletonOf(renderings[2 * index], renderings[2 * index + 1], slots[index] ?? [], roles)
      if (!this.skeletons.has(shapeKey(roles))) this.skeletons.set(shapeKey(roles), result)
    })
    joinSystemWhereRefused(
      this.skeletons,
      shapes.map(({ roles }) => roles),
    )
  }

  /** With the generation prompt at the end, except for answeredShape. */
  skeleton(roles: Roles): Skeleton {
    const found = this.skeletons.get(shapeKey(roles))
    if (found instanceof ReasonrecError) throw found
    if (found) return found
    throw new ReasonrecError('RR_TEMPLATE_SHAPE', 'this sequence of roles is not prepared', {
      expected: promptShapes.map(shapeKey).join(' | '),
      got: shapeKey(roles),
      remedy: 'put the text into a system and a user message',
    })
  }

  has(roles: Roles): boolean {
    const found = this.skeletons.get(shapeKey(roles))
    return found !== undefined && !(found instanceof ReasonrecError)
  }
}

/**
 * Text for models without a chat template: the messages' contents, each followed by an empty line, and
 * nothing else. The response starts directly after.
 */
export function plainSkeleton(roles: Roles): Skeleton {
  return {
    texts: ['', ...roles.map(() => '\n\n')],
    order: roles.map((_, index) => index),
    systemJoinedToUser: false,
  }
}

/**
 * The response form opens the thinking itself, exactly once. Templates of thinking models put an empty think
 * block, or an opened one, at the end of the generation prompt; it is taken off here.
 */
export function withoutThinkBlock(tail: string): string {
  return tail.replace(/<think>\s*(<\/think>\s*)?$/u, '')
}

function slot(_role: string, index: number): string {
  return `SLOT${index}x${randomUUID().replaceAll('-', '')}END`
}

function probe(name: string): string {
  return `${name}<&"'\`{{ 1 }}{% x %}\\n\n\n  é>${name}`
}

function job(roles: Roles, contents: readonly string[], open: boolean): Job {
  const messages = roles.map((role, index) => ({ role, content: contents[index] ?? '' }))
  // Thinking on: with it off, templates of the Qwen3 kind write an empty think block into the prompt.
  return { messages, add_generation_prompt: open, enable_thinking: true }
}

function skeletonOf(
  plain: Rendering | undefined,
  probed: Rendering | undefined,
  slots: readonly string[],
  roles: Roles,
): Skeleton | ReasonrecError {
  if (!plain || 'error' in plain)
    return unsupported(`cannot be rendered for ${shapeKey(roles)}`, plain?.error ?? 'nothing')
  const places = slots.map((name, index) => ({ index, at: plain.text.indexOf(name), name }))
  const wrong = places.find(({ name, at }) => at < 0 || plain.text.indexOf(name, at + 1) >= 0)
  if (wrong) {
    return unsupported(
      `does not place the content of message ${wrong.index + 1} of ${shapeKey(roles)} exactly once`,
      wrong.at < 0 ? 'no place' : 'several places',
    )
  }
  const expected = slots.reduce((text, name) => text.replace(name, () => probe(name)), plain.text)
  if (!probed || !('text' in probed) || probed.text !== expected) {
    return unsupported(
      `changes the content of a message of ${shapeKey(roles)}`,
      probed && 'error' in probed ? probed.error : 'other text',
    )
  }
  places.sort((a, b) => a.at - b.at)
  const texts: string[] = []
  let end = 0
  for (const { at, name } of places) {
    texts.push(plain.text.slice(end, at))
    end = at + name.length
  }
  texts.push(withoutThinkBlock(plain.text.slice(end)))
  return { texts, order: places.map(({ index }) => index), systemJoinedToUser: false }
}

/** Some templates know no system role: its text then stands before the first user message. */
function joinSystemWhereRefused(
  skeletons: Map<string, Skeleton | ReasonrecError>,
  shapes: readonly Roles[],
): void {
  for (const roles of shapes) {
    if (roles[0] !== 'system' || !(skeletons.get(shapeKey(roles)) instanceof ReasonrecError)) continue
    const rest = skeletons.get(shapeKey(roles.slice(1)))
    if (rest && !(rest instanceof ReasonrecError))
      skeletons.set(shapeKey(roles), { ...rest, systemJoinedToUser: true })
  }
}

function unsupported(what: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_TEMPLATE_UNSUPPORTED', `the chat template ${what}`, {
    expected: 'a template that places every message once and unchanged',
    got,
    remedy: 'correct chat_template in the model folder, or remove it to use the plain form',
  })
}

function shapeKey(roles: Roles): string {
  return roles.join(',')
}

async function renderApart(
  template: string,
  variables: Readonly<Record<string, unknown>>,
  jobs: readonly Job[],
): Promise<Rendering[]> {
  if (template.length > sizeLimit)
    throw unsupported(`is longer than ${sizeLimit} characters`, `${template.length} characters`)
  // Nothing of our environment is passed on, and what a dying process prints is of no use to anyone.
  const renderer = fork(fileURLToPath(new URL('./template-renderer.mjs', import.meta.url)), [], {
    execArgv: [`--max-old-space-size=${heapLimit}`, '--max-semi-space-size=4'],
    env: {},
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  try {
    await nextMessage(renderer, startLimit)
    const answer = nextMessage(renderer, timeLimit)
    renderer.send({ template, variables, jobs })
    return (await answer).results ?? []
  } finally {
    renderer.kill('SIGKILL')
  }
}

function nextMessage(renderer: ChildProcess, limit: number): Promise<{ readonly results?: Rendering[] }> {
  let timer: NodeJS.Timeout | undefined
  return new Promise<{ readonly results?: Rendering[] }>((resolve, reject) => {
    timer = setTimeout(() => reject(tooSlow(limit)), limit)
    renderer.once('message', resolve)
    renderer.once('error', (error) => reject(ended(error.message)))
    renderer.once('exit', (status, signal) =>
      reject(signal === 'SIGABRT' || status === 134 ? tooLarge() : ended(signal ?? `status ${status}`)),
    )
  }).finally(() => clearTimeout(timer))
}

function tooSlow(limit: number): ReasonrecError {
  return new ReasonrecError('RR_TEMPLATE_TIMEOUT', 'the chat template runs too long', {
    expected: `at most ${limit} ms`,
    remedy: 'correct chat_template in the model folder',
  })
}

function tooLarge(): ReasonrecError {
  return new ReasonrecError('RR_TEMPLATE_MEMORY', 'the chat template needs too much memory', {
    expected: `at most ${heapLimit} MB`,
    remedy: 'correct chat_template in the model folder',
  })
}

function ended(got: string): ReasonrecError {
  return new ReasonrecError('RR_TEMPLATE_FAILED', 'the process that renders the chat template ended', {
    expected: 'an answer',
    got,
    remedy: 'correct chat_template in the model folder, or remove it to use the plain form',
  })
}
