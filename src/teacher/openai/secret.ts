/**
 * The key of a server: read from the environment variable that the configuration names, handed to the HTTP client, and
 * taken out of every text that comes back (servers echo it in errors) before anything else sees that text.
 */

import { ReasonrecError } from '../../engine/errors.js'

const shortest = 8

export class Secret {
  /** The value as it is, and as JSON, a URL or base64 would carry it. */
  private readonly forms: readonly string[]

  private constructor(readonly value: string | null) {
    const forms =
      value === null
        ? []
        : [
            value,
            JSON.stringify(value).slice(1, -1),
            encodeURIComponent(value),
            Buffer.from(value).toString('base64'),
            Buffer.from(`Bearer ${value}`).toString('base64'),
          ]
    this.forms = [...new Set(forms)].sort((a, b) => b.length - a.length)
  }

  /** @throws RR_TEACHER_KEY where the variable is empty or holds what cannot be a key */
  static fromEnvironment(name: string | null): Secret {
    if (name === null) return new Secret(null)
    const value = process.env[name]?.trim() ?? ''
    if (value.length >= shortest && /^[\x21-\x7e]+$/.test(value)) return new Secret(value)
    throw new ReasonrecError('RR_TEACHER_KEY', `the environment variable ${name} holds no key`, {
      expected: `a key of at least ${shortest} printable characters without blanks`,
      got: value === '' ? 'nothing' : 'something else, not shown',
      remedy: `export ${name}, or set teacher.apiKeyEnv to null where the server wants none`,
    })
  }

  static readonly none = new Secret(null)

  /** The text without the key. */
  redacted(text: string): string {
    return this.forms.reduce((clean, form) => clean.replaceAll(form, '[key]'), text)
  }
}
