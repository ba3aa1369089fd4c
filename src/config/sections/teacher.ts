/** Who writes the traces, and how a server of the OpenAI protocol is asked (docs/teacher.md). */

import { z } from 'zod'
import { count, key, positive } from '../key.js'

export const teacher = z
  .strictObject({
    kind: key(
      z.enum(['self', 'builtin', 'openai']).default('self'),
      'Who writes the traces: the model itself (self-distillation), the builtin templates, or a model behind an OpenAI-compatible server (teacher-distillation).',
    ),
    baseURL: key(
      z
        .string()
        .regex(
          /^https?:\/\/[^\s/@?#]+(\/[^\s@?#]*)?$/,
          'http(s)://host[:port]/path without user, password or query',
        )
        .nullable()
        .default(null),
      'Address of the server up to and with /v1; http to another machine needs teacher.insecure.',
    ),
    model: key(z.string().min(1).nullable().default(null), 'Name of the model as the server knows it.'),
    apiKeyEnv: key(
      z
        .string()
        .regex(/^[A-Z_][A-Z0-9_]*$/, 'the NAME of an environment variable in capitals, never the key itself')
        .nullable()
        .default(null),
      'Environment variable that holds the key; null sends none. The key stands nowhere else.',
    ),
    insecure: key(
      z.boolean().default(false),
      'Allow http:// to another machine: prompts and key then travel in the clear.',
    ),
    ledger: key(
      z.string().min(1).nullable().default(null),
      'Folder of the ledger of paid answers; null is the folder teacher of the run. One that is shared by runs answers equal requests once.',
    ),
    replay: key(
      z.boolean().default(false),
      'Answer from the ledger alone: no network, no key; a request that is not there is an error.',
    ),
    structured: key(
      z.enum(['auto', 'off']).default('auto'),
      'auto asks for JSON by schema and falls back, remembered, where the server refuses; off asks for tags in plain text.',
    ),
    stream: key(
      z.boolean().default(true),
      'Receive answers as they are written, so that a server that hangs is told from one that is slow.',
    ),
    samples_per_request: key(
      count().default(1),
      'Samples asked for in one request (n): the prompt is paid once for all; missing ones are asked again.',
      { unit: 'samples' },
    ),
    reasoning_tokens: key(
      count(0).default(0),
      'Allowance for hidden reasoning on top of the answer; reasoning models need thousands.',
      { unit: 'tokens' },
    ),
    logprobs: key(
      z.boolean().default(false),
      'Ask for log-probs of the answer, kept in the ledger where offered.',
    ),
    concurrency: key(
      count().default(16),
      'Most requests in flight; the number in use grows by one a round and halves when the server is busy.',
      { unit: 'requests' },
    ),
    tokens_per_second: key(
      positive().default(50),
      'Speed of one answer that the estimate before a run takes for granted; nothing else reads it.',
      { unit: 'tokens per second' },
    ),
    attempts: key(
      count().default(12),
      'Attempts at one request before it is given up; times that the server was busy are not counted.',
      {
        unit: 'attempts',
      },
    ),
    answer_attempts: key(
      count().default(2),
      'Of these, how many may end in an answer that cannot be read; each one is paid.',
      { unit: 'attempts' },
    ),
    backoff: key(
      positive().default(1),
      'First pause before another attempt, doubled each time up to 60 of them and drawn at random below that.',
      { unit: 'seconds' },
    ),
    connect_timeout: key(positive().default(10), 'Longest wait for a connection.', { unit: 'seconds' }),
    idle_timeout: key(positive().default(180), 'Longest silence of the server while it answers.', {
      unit: 'seconds',
    }),
    total_timeout: key(positive().default(1200), 'Longest time of one attempt.', { unit: 'seconds' }),
    breaker: key(
      count().default(24),
      'So many failures in a row close the line for a pause; after five such pauses the run is saved and stops.',
      { unit: 'failures' },
    ),
    price_in: key(z.number().min(0).default(0), 'Price of a million prompt tokens.', { unit: 'currency' }),
    price_out: key(z.number().min(0).default(0), 'Price of a million answer tokens, reasoning included.', {
      unit: 'currency',
    }),
    max_cost: key(
      positive().nullable().default(null),
      'No request is sent that could take the ledger’s cost above this; the run is saved and stops.',
      { unit: 'currency' },
    ),
  })
  .prefault({})
