/** How `serve` behaves by default; options of the verb change it. No part of a run's configuration. */

import { z } from 'zod'
import { count, key } from '../key.js'

export const serve = z.strictObject({
  host: key(z.string().default('127.0.0.1'), 'Address to listen on; any but a loopback address needs a key.'),
  port: key(z.number().int().min(0).max(65_535).default(8080), 'Port; 0 takes a free one and prints it.'),
  rows: key(count().default(32), 'Answers written at once; bounds memory, never changes an answer.', {
    unit: 'answers',
  }),
  queue: key(count().default(64), 'Requests held at once, waiting ones included; one more gets status 429.', {
    unit: 'requests',
  }),
  max_tokens: key(
    count().default(1_024),
    'Longest answer: what a request may ask for, and what it gets where it asks for nothing.',
    { unit: 'tokens' },
  ),
  body: key(count().default(4_194_304), 'Largest body of a request; larger ones get status 413.', {
    unit: 'bytes',
  }),
  drain: key(
    count(0).default(60),
    'After SIGTERM or SIGINT: how long requests under way may take to end, before they are cut off.',
    { unit: 'seconds' },
  ),
})

export type ServeConfig = z.output<typeof serve>
