/**
 * Ids, decoded text and rendered chats against transformers, for every tokenizer under <parity>/tokenizer. `ids_special`
 * parses all added tokens (encodeTrusted). `ids_plain` treats special tokens as text; for texts without other added tokens
 * that is encodeUntrusted. A tokenizer that is not in the folder is taken from REASONREC_MODELS if its hash is right.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Message } from '../../src/prompts/prompt.js'
import { Tokenizer } from '../../src/prompts/tokenizer.js'

interface TextCase {
  readonly text: string
  readonly ids_plain: readonly number[]
  readonly ids_special: readonly number[]
  readonly decoded_special_keep: string
  readonly decoded_special_skip: string
}

interface ChatCase {
  readonly messages: readonly { readonly role: Message['role']; readonly content: string }[]
  readonly add_generation_prompt: boolean
  readonly template_kwargs: Readonly<Record<string, unknown>>
  readonly text: string
  readonly ids: readonly number[]
}

interface Reference {
  readonly tokenizer: string
  /** Only where the tokenizer itself is not in the folder. */
  readonly tokenizer_json_sha256?: string
  readonly texts: readonly TextCase[]
  readonly chats: readonly ChatCase[]
}

const root = process.env.REASONREC_PARITY
const folder = root ? join(root, 'tokenizer') : null
const files = folder && existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : []
let cases = 0
let values = 0

function same<T>(got: ArrayLike<T>, wanted: ArrayLike<T>, what: string): void {
  expect(Array.from(got), what).toEqual(Array.from(wanted))
  cases++
  values += Math.max(1, wanted.length)
}

/** Folder of the tokenizer; null where it is of a model that is not at hand. */
function tokenizerFolder({ tokenizer, tokenizer_json_sha256 }: Reference): string | null {
  const places = [folder, process.env.REASONREC_MODELS].flatMap((place) =>
    place ? [join(place, tokenizer)] : [],
  )
  return (
    places.find((place) => {
      const file = join(place, 'tokenizer.json')
      if (!existsSync(file)) return false
      const hash = createHash('sha256').update(readFileSync(file)).digest('hex')
      return tokenizer_json_sha256 === undefined || hash === tokenizer_json_sha256
    }) ?? null
  )
}

describe('tokenizers', () => {
  if (!root) {
    it.skip('REASONREC_PARITY is not set', () => {})
    console.log('parity: tokenizer skipped, REASONREC_PARITY is not set')
    return
  }

  it('has reference values', () => {
    expect(files.length, `no tokenizer references in ${root}`).toBeGreaterThan(0)
  })

  for (const file of files) {
    const reference = JSON.parse(readFileSync(join(folder as string, file), 'utf8')) as Reference
    const place = tokenizerFolder(reference)
    if (place === null) {
      console.log(
        `parity: ${reference.tokenizer} skipped, its tokenizer.json is not in REASONREC_PARITY or REASONREC_MODELS`,
      )
      it.skip(`${reference.tokenizer} (not at hand)`, () => {})
      continue
    }
    it(`${reference.tokenizer}: texts`, async () => {
      const tokenizer = await Tokenizer.open(place)
      for (const {
        text,
        ids_plain,
        ids_special,
        decoded_special_keep,
        decoded_special_skip,
      } of reference.texts) {
        same(tokenizer.encodeTrusted(text), ids_special, text)
        same([tokenizer.decode(ids_special)], [decoded_special_keep], text)
        same([tokenizer.decode(ids_special, { skipSpecial: true })], [decoded_special_skip], text)
        const untrusted = tokenizer.encodeUntrusted(text)
        expect(untrusted.filter((id) => tokenizer.specialIds.has(id)).length, text).toBe(0)
        // The reference leaves added tokens that are not special (<think>) whole; ours are text here.
        if (!ids_plain.some((id) => tokenizer.specialIds.has(id))) same(untrusted, ids_plain, text)
        else same([tokenizer.decode(untrusted)], [tokenizer.decode(ids_plain)], text)
      }
    })

    it(`${reference.tokenizer}: chats`, async () => {
      const tokenizer = await Tokenizer.open(place)
      for (const { messages, add_generation_prompt, text, ids } of reference.chats) {
        same(tokenizer.encodeTrusted(text), ids, text)
        if (!add_generation_prompt) continue
        // Our prompts end where the response opens its thinking itself, so an opened think block is not part of them.
        const prompt = { messages: messages.map(({ role, content }) => ({ role, parts: [content] })) }
        const wanted = tokenizer.encodeTrusted(text.replace(/<think>\s*(<\/think>\s*)?$/, ''))
        same(tokenizer.encodePrompt(prompt), wanted, text)
      }
    })
  }

  afterAll(() => console.log(`parity: ${cases} cases, ${values} values compared (tokenizer)`))
})
