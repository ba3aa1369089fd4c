import { describe, expect, it } from 'vitest'
import { ChatTemplate, plainSkeleton, withoutThinkBlock } from '../../../src/prompts/chat-template.js'

const chatml = `{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`
const code = (wanted: string) => expect.objectContaining({ code: wanted })

describe('chat templates', () => {
  it('become texts around slots', async () => {
    const chat = await ChatTemplate.compile(chatml, {})
    expect(chat.skeleton(['system', 'user'])).toEqual({
      texts: [
        '<|im_start|>system\n',
        '<|im_end|>\n<|im_start|>user\n',
        '<|im_end|>\n<|im_start|>assistant\n',
      ],
      order: [0, 1],
      systemJoinedToUser: false,
    })
    expect(() => chat.skeleton(['assistant'])).toThrow(code('RR_TEMPLATE_SHAPE'))
  })

  it('get the special tokens of the tokenizer as variables', async () => {
    const chat = await ChatTemplate.compile(`{{ bos_token }}${chatml}`, { bos_token: '<s>' })
    expect(chat.skeleton(['user']).texts[0]).toBe('<s><|im_start|>user\n')
  })

  it('that know no system role have it put before the user text', async () => {
    const refusing = `{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}${chatml}`
    const chat = await ChatTemplate.compile(refusing, {})
    expect(chat.skeleton(['system', 'user']).systemJoinedToUser).toBe(true)
    expect(chat.skeleton(['user']).systemJoinedToUser).toBe(false)
  })

  it('that trim contents are fine, that change them are not', async () => {
    await expect(
      ChatTemplate.compile(chatml.replace('m.content', 'm.content | trim'), {}),
    ).resolves.toBeInstanceOf(ChatTemplate)
    for (const change of [
      'm.content | upper',
      'm.content | tojson',
      'm.content ~ m.content',
      "'fixed'",
      "m.content | replace('<', '&lt;')",
    ])
      await expect(ChatTemplate.compile(chatml.replace('m.content', change), {}), change).rejects.toThrow(
        code('RR_TEMPLATE_UNSUPPORTED'),
      )
  })

  it('that cannot be parsed or refuse everything are an error', async () => {
    await expect(ChatTemplate.compile('{% for %}', {})).rejects.toThrow(code('RR_TEMPLATE_UNSUPPORTED'))
    await expect(ChatTemplate.compile(`{{ raise_exception('never') }}`, {})).rejects.toThrow(
      code('RR_TEMPLATE_UNSUPPORTED'),
    )
  })

  it('cannot take the memory or the time of the process', async () => {
    await expect(
      ChatTemplate.compile('{% for i in range(100000000) %}{{ i }}{% endfor %}', {}),
    ).rejects.toThrow(/memory|long/)
    await expect(ChatTemplate.compile('{% set x = range(100000000) %}{{ x | length }}', {})).rejects.toThrow(
      /memory|long/,
    )
    const nested =
      '{% for a in range(3000) %}{% for b in range(3000) %}{% for c in range(3000) %}{% endfor %}{% endfor %}{% endfor %}'
    await expect(ChatTemplate.compile(nested, {})).rejects.toThrow(code('RR_TEMPLATE_TIMEOUT'))
  })

  it('print the same date on every day', async () => {
    const dated = await ChatTemplate.compile(`{{ strftime_now('%d %b %Y') }} ${chatml}`, {})
    expect(dated.skeleton(['user']).texts[0]).toContain('26 Jul 2024')
  })
})

describe('thinking', () => {
  const tails = {
    'Qwen3, thinking off': '<|im_start|>assistant\n<think>\n\n</think>\n\n',
    'an opened block': '<|im_start|>assistant\n<think>\n',
    none: '<|im_start|>assistant\n',
  }
  it.each(Object.entries(tails))('prompt and response open it exactly once: %s', (_, tail) => {
    const whole = `${withoutThinkBlock(tail)}<think>\nreason\n</think>`
    expect(whole.match(/<think>/g)).toHaveLength(1)
    expect(whole.startsWith('<|im_start|>assistant\n<think>\nreason')).toBe(true)
  })

  it('an empty think block that a template writes when thinking is off is not in the prompt', async () => {
    const qwen3 = `${chatml.replace('{% endif %}', '')}{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}`
    const opened = `${chatml.replace('{% endif %}', '')}<think>\n{% endif %}`
    for (const template of [qwen3, opened]) {
      const chat = await ChatTemplate.compile(template, {})
      expect(chat.skeleton(['user']).texts.at(-1)).toBe('<|im_end|>\n<|im_start|>assistant\n')
    }
  })
})

it('the plain form is contents and empty lines', () => {
  expect(plainSkeleton(['system', 'user'])).toEqual({
    texts: ['', '\n\n', '\n\n'],
    order: [0, 1],
    systemJoinedToUser: false,
  })
})
