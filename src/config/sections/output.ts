/** What comes out: evaluation and report. */

import { z } from 'zod'
import { count, key, orAll, positive, share } from '../key.js'

export const evaluation = z
  .strictObject({
    data: key(
      z.string().nullable().default(null),
      'Folder of another set to test on (transfer): tests, candidates, chains, baselines and the audit are of that set, all training of data.dir; null tests on data.dir.',
    ),
    instances: key(
      orAll().default(null),
      'Test instances; null takes all. Fewer than 2,000 cannot separate close methods.',
      { unit: 'instances' },
    ),
    mode: key(
      z
        .enum(['think_score', 'score', 'free', 'think_beam', 'direct_beam', 'thoughts', 'ground'])
        .default('think_score'),
      'How a model answers. think_score: think, then score every candidate; score: score at once; free: write an answer. think_beam and direct_beam search the whole catalogue (eval.candidates: full), with and without thinking. thoughts: several sampled reasonings, merged, at as many times the cost. ground: write freely, then take the titles most like the answer.',
    ),
    candidates: key(
      z.enum(['lists', 'full']).default('lists'),
      'lists: each test ranks its own candidates, which the prompt shows. full: the prompt shows none and any title of the catalogue may be answered; needs a mode that can, such as think_beam, and costs some eval.beam rows per title token. Models trained on lists meet a prompt that they have not seen.',
    ),
    mask_history: key(
      z.boolean().default(true),
      'Whole catalogue: items of the history shown are no answers. False lets them in, and a model that copies the history stands in the way of its own hits; report both where targets repeat.',
    ),
    beam: key(
      count().default(50),
      'Whole catalogue: hypotheses kept, and titles named, best first; a target that the beam loses is a miss at every cut. As wide as the catalogue nothing is lost, at the cost of scoring every title.',
      { unit: 'titles', symbol: 'B' },
    ),
    renormalise: key(
      z.boolean().default(false),
      'Beam scores over the tokens that can still lead to a title instead of the whole vocabulary: rare beginnings with one continuation rise.',
    ),
    thoughts: z
      .strictObject({
        count: key(count().default(4), 'Reasonings sampled per test in mode thoughts.', {
          unit: 'thoughts',
          symbol: 'N',
        }),
        temperature: key(
          positive().default(0.8),
          'How far they differ; close to 0 all of them are the greedy one.',
        ),
        top_p: key(share().default(0.95), 'Tokens of the least likely rest are never drawn.', {
          unit: 'share',
        }),
        merge: key(
          z.enum(['max', 'mean_posterior', 'logsumexp']).default('max'),
          'Merging: the thought that speaks best for an item counts (max), each thought has one vote (mean_posterior), or likelihoods add up (logsumexp).',
        ),
      })
      .prefault({}),
    grounding_model: key(
      z.string().nullable().default(null),
      'Mode ground: folder of a sentence-embedding model (model.onnx or onnx/model.onnx, tokenizer.json), run by onnxruntime-node on every title once; null compares words.',
    ),
    norm: key(
      z.enum(['joint', 'mean']).default('joint'),
      'Rank candidates by the sum or the mean of token log-probs; the mean favours long titles.',
    ),
    max_new: key(count(4).nullable().default(null), 'Longest reasoning; null takes rl.max_new.', {
      unit: 'tokens',
    }),
    direct: key(
      z.boolean().default(true),
      'Also score without reasoning: an extra base row and the reasoning’s log-prob gain, at small cost.',
    ),
    free: key(
      z.boolean().default(false),
      'Also let the base answer freely: a row that says what the untrained model does when nothing helps it.',
    ),
    pointwise: key(
      z.boolean().default(false),
      'r2rec: also let the last model rate each candidate alone (Mode P), at as many answers per test as there are candidates.',
    ),
    controls: key(
      z
        .array(
          z.enum([
            'shuffled_history',
            'shuffled_ratings',
            'exchanged_reasoning',
            'filler_reasoning',
            'answers_only',
          ]),
        )
        .default([]),
      'shuffled_history: the last model reads other users’ histories. shuffled_ratings (r2rec): it reads chains whose ratings were exchanged among them. exchanged_reasoning: it reads its own prompt with the reasoning it wrote for another user. filler_reasoning: it reads as many tokens of full stops in its reasoning’s place. answers_only: trains the same adapter without reasoning, at the cost of two more trainings.',
    ),
    probes: key(
      z.array(z.enum(['frozen_scorer', 'truncation', 'sufficiency', 'perturbation'])).default([]),
      'What the reasonings of imitated and internalized do, with mode think_score, at the cost of scoring every candidate again. frozen_scorer (2 scorings per test): gain under the model as given. truncation (5): HR@1 behind 0 to 100 % of the words. sufficiency (2): HR@1 without the history. perturbation (3): the answer’s posterior without cited against uncited titles.',
    ),
    popularity_cuts: key(
      z.array(count()).min(1).default([1]),
      'Popularity and diversity of the first so many recommendations; further cuts, such as [1, 5, 10], stand in the summary as <name>_at<K>.',
      { unit: 'items', symbol: 'K' },
    ),
    bootstrap: key(count(10).default(1000), 'Resamples of the 95 % intervals, by user.', {
      unit: 'resamples',
    }),
    chunk: key(count().default(32), 'Instances between two saved points.', { unit: 'instances' }),
  })
  .prefault({})

export const report = z
  .strictObject({
    html: key(z.boolean().default(true), 'Write report.html.'),
    samples: key(count(0).default(8), 'Samples with their reasoning kept per phase and step.', {
      unit: 'samples',
    }),
  })
  .prefault({})
