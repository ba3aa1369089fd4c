/**
 * The one configuration schema. Every key carries a default, its unit or range and one sentence on what
 * changing it does; `section` names the paper's or the specification's symbol where there is one.
 * All defaults of the project live here: the engine and the addon have none.
 */

import { z } from 'zod'

/** `consequence` is shown by `--help` and in the report beside the value. */
interface Meaning {
  readonly unit?: string
  readonly symbol?: string
}

function key<T extends z.ZodType>(schema: T, consequence: string, meaning: Meaning = {}): T {
  return schema.meta({ description: consequence, ...meaning }) as T
}

const count = (least = 1) => z.number().int().min(least)
const share = () => z.number().min(0).max(1)
const positive = () => z.number().positive()
const orAll = (least = 1) => count(least).nullable()

const data = z
  .strictObject({
    dir: key(
      z.string().nullable().default(null),
      'Folder with the interactions and the items with titles; --data sets it.',
    ),
    name: key(z.string().nullable().default(null), 'Name shown in reports; null takes the folder name.'),
    noun: key(
      z.string().nullable().default(null),
      'What one title names in a prompt ("book"); null lets the data say.',
    ),
    min_hist: key(
      count().default(3),
      'Shorter histories are dropped; a low value adds instances that say little about taste.',
      { unit: 'items' },
    ),
    max_hist: key(
      count().default(10),
      'Only the last so many items reach the prompt; longer costs prompt tokens.',
      { unit: 'items', symbol: 'L' },
    ),
    split: key(
      z.enum(['auto', 'user', 'loo', 'global81', 'user81']).default('auto'),
      'How instances are parted into train, valid and test; auto keeps the folder’s own split, else loo (last item test, the one before validation).',
    ),
    candidates: key(
      z
        .string()
        .regex(/^C[1-9]\d{0,3}$/, 'C and a number, such as C20')
        .default('C20'),
      'Protocol: C20 is the target and 19 uniform negatives; published lists keep their length.',
    ),
    cand_seed: key(
      count(0).default(0),
      'Seed of the negatives; other seeds give the sampling error of the protocol.',
    ),
    max_train_per_user: key(
      orAll().default(null),
      'Training instances kept per user, by hash; few spread the traces over more users.',
      { unit: 'instances' },
    ),
    item_text: key(z.enum(['title']).default('title'), 'What of an item the model reads.'),
  })
  .prefault({})

const prompt = z
  .strictObject({
    max_words: key(count(5).default(150), 'Word limit stated in the prompt; small models need far less.', {
      unit: 'words',
      symbol: 'W',
    }),
    wording: key(
      z.enum(['auto', 'standard', 'short', 'compact']).default('auto'),
      'short asks the same in fewer tokens; auto takes it up to 80 words; compact is little more than the lists, for models pre-trained on it.',
    ),
  })
  .prefault({})

const model = z
  .strictObject({
    dir: key(
      z.string().nullable().default(null),
      'Hugging Face folder with config.json, tokenizer.json and *.safetensors; --model sets it.',
    ),
    max_memory: key(
      positive().nullable().default(null),
      'Refuse a run whose weights, gradients and moments alone need more; null takes what the machine has.',
      { unit: 'GiB' },
    ),
    threads: key(count(0).default(0), 'CPU threads; 0 takes all cores. Results do not depend on it.', {
      unit: 'threads',
    }),
    max_rows: key(
      count().default(64),
      'Rows decoded together; more is quicker and needs more KV memory. Results do not depend on it.',
      { unit: 'rows' },
    ),
    token_budget: key(
      count(64).default(4096),
      'Tokens of one training micro-batch; more is quicker and needs more memory.',
      { unit: 'tokens' },
    ),
    recompute: key(
      z.boolean().default(false),
      'Recompute activations in the backward pass: about a third slower, far less memory.',
    ),
  })
  .prefault({})

const collect = z
  .strictObject({
    regime: key(
      z.enum(['self', 'builtin']).default('self'),
      'Who writes the traces: the model itself, or the builtin template teacher.',
    ),
    instances: key(
      orAll().default(null),
      'Training instances asked; null takes the whole imitation part of the training split.',
      { unit: 'instances' },
    ),
    part: key(
      z.number().gt(0).lt(1).default(0.6),
      'Share of training users whose instances serve Collection and Imitation; the rest are RL prompts.',
      { unit: 'share' },
    ),
    answer: key(
      z.enum(['free', 'constrained']).default('free'),
      'free lets the model write the whole response; constrained gives the frame and chooses the title among the candidates, which helps small models.',
    ),
    k_free: key(
      count(0).default(8),
      'Unhinted samples per instance (pass A); more finds more hits at linear cost.',
      { unit: 'samples', symbol: 'K_A' },
    ),
    k_hint: key(
      count(0).default(4),
      'Hinted samples for an instance without a hit (pass B); 0 turns the pass off.',
      { unit: 'samples', symbol: 'K_B' },
    ),
    temperature: key(z.number().min(0).default(1), 'Sampling temperature; low values repeat the same trace.'),
    top_p: key(z.number().gt(0).max(1).default(0.95), 'Nucleus of the sampling distribution.', {
      unit: 'share',
    }),
    max_new: key(
      count(4).default(384),
      'Longest response; longer ones are cut and rejected by the form gate.',
      { unit: 'tokens' },
    ),
    chunk: key(
      count().default(32),
      'Instances between two saved points; a killed run repeats at most this many.',
      { unit: 'instances' },
    ),
    fill: key(
      z.enum(['builtin', 'none']).default('builtin'),
      'Who writes traces when too few pass the gates; none leaves Imitation with what there is.',
    ),
    fill_below: key(count(0).default(200), 'Fewer kept traces than this start the fill.', { unit: 'traces' }),
    fill_below_share: key(
      share().default(0.1),
      'A smaller share of instances with a kept trace starts the fill.',
      { unit: 'share' },
    ),
    fill_to: key(
      count(0).default(500),
      'The fill stops here; beyond the instances asked it takes further ones of the imitation part.',
      { unit: 'traces' },
    ),
    keep_per_instance: key(
      count().default(1),
      'Traces kept per instance; 2 keeps a second one only if it differs.',
      { unit: 'traces', symbol: 'M' },
    ),
    keep_misses: key(
      z.boolean().default(false),
      'Keep traces that miss the true next item: the pattern is imitated, not the choice.',
    ),
    gates: key(
      z
        .array(z.enum(['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8', 'G10']))
        .default(['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8']),
      'Gates a trace must pass; a gate left out is still recorded; G10 drops reasoning that many others repeat.',
    ),
    min_words: key(
      count(0).nullable().default(null),
      'Shorter reasoning is rejected (G5); null takes 30 for a limit of 150 words, in proportion.',
      { unit: 'words' },
    ),
    max_words: key(
      orAll().default(null),
      'Longer reasoning is rejected (G5); null takes 220 for a limit of 150 words, in proportion.',
      { unit: 'words' },
    ),
    max_repeat: key(share().default(0.2), 'Largest share of repeated 4-grams (G6).', { unit: 'share' }),
    min_ascii: key(share().default(0.9), 'Smallest share of ASCII letters (G8); 0 admits every script.', {
      unit: 'share',
    }),
    gain_tau: key(
      z.number().nullable().default(null),
      'Keep a trace only if it raises the target’s log-prob by more than this (G9); null skips the gate and its cost.',
      { unit: 'nats per token' },
    ),
  })
  .prefault({})

const sft = z
  .strictObject({
    adapter: key(
      z.enum(['lora', 'full']).default('lora'),
      'lora trains a low-rank adapter; full trains every weight and needs about sixteen bytes per parameter.',
    ),
    rank: key(count().default(16), 'Rank of the adapter; more capacity, more memory.', { symbol: 'r' }),
    alpha: key(positive().default(32), 'Scale of the adapter is alpha / rank.'),
    rslora: key(z.boolean().default(false), 'Scale by alpha / sqrt(rank) instead.'),
    dropout: key(
      z.number().min(0).lt(1).default(0),
      'Dropout on the adapter’s input, one mask per layer input (PEFT draws one per linear).',
      { unit: 'share' },
    ),
    targets: key(
      z
        .array(z.enum(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']))
        .min(1)
        .default(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']),
      'Linears that carry an adapter.',
    ),
    instances: key(orAll().default(null), 'Traces used; null takes every kept one.', { unit: 'traces' }),
    lr: key(
      positive().nullable().default(null),
      'Peak learning rate; null takes 2e-4 for lora and 2e-5 for full.',
    ),
    epochs: key(
      count().default(2),
      'Passes over the traces; more fits the form better and overfits the content.',
      { unit: 'passes' },
    ),
    batch: key(count().default(64), 'Sequences per update.', { unit: 'sequences' }),
    warmup: key(share().default(0.05), 'Share of steps with rising learning rate.', { unit: 'share' }),
    final_lr: key(share().default(0.1), 'Learning rate at the end of the cosine, as a share of the peak.', {
      unit: 'share',
    }),
    lambda_reason: key(
      z.number().min(0).default(1),
      'Weight of reasoning tokens; below 1 long reasoning does not drown the title.',
      { symbol: 'lambda_r' },
    ),
    lambda_answer: key(z.number().min(0).default(1), 'Weight of answer tokens.', { symbol: 'lambda_o' }),
    direct_mix: key(
      z.number().min(0).max(0.9).default(0.2),
      'Share of answer-only examples under the direct prompt, which keep the score without reasoning meaningful.',
      { unit: 'share' },
    ),
    clip_norm: key(z.number().min(0).default(1), 'Gradient norm limit; 0 turns it off.'),
    weight_decay: key(
      z.number().min(0).default(0),
      'Pull of every weight towards zero at each update (AdamW); 0 turns it off.',
    ),
    max_length: key(count(16).default(1024), 'Longer examples are dropped, never cut.', { unit: 'tokens' }),
    save_every: key(
      count().default(20),
      'Updates between checkpoints; a killed run repeats at most this many.',
      { unit: 'steps' },
    ),
    valid_every: key(
      count(0).default(0),
      'Updates between validations on the valid split; 0 turns them off.',
      { unit: 'steps' },
    ),
    valid_instances: key(count().default(64), 'Instances of one validation.', { unit: 'instances' }),
  })
  .prefault({})

const reward = z
  .strictObject({
    compose: key(
      z.enum(['additive', 'conditional', 'gated']).default('additive'),
      'How terms become one reward: a sum, or rationality counted only with a good recommendation, or only with grounded reasoning.',
    ),
    gate_fail: key(z.number().default(-1), 'Reward of a rollout that fails the form gate.'),
    hit: key(z.number().default(1), 'Weight of the exact answer.'),
    ndcg_cand: key(
      z.number().default(0.5),
      'Weight of the target’s rank among the candidates after the reasoning.',
    ),
    gain: key(
      z.number().default(0.5),
      'Weight of the log-prob gain of the target given the reasoning (rationality).',
      { unit: 'per nat' },
    ),
    gain_kind: key(
      z.enum(['gain', 'post']).default('gain'),
      'gain: mean log-prob of the target’s tokens; post: its posterior among the candidates.',
    ),
    gain_clip: key(positive().default(1), 'The gain term is clipped to plus or minus this.', {
      unit: 'nats per token',
    }),
    scorer: key(
      z.enum(['ref', 'policy']).default('ref'),
      'Who scores the gain: the frozen model of Imitation, or the policy that sampled.',
    ),
    ground: key(z.number().default(0.2), 'Weight of citing only titles of the history and the candidates.'),
    len: key(z.number().default(0.2), 'Weight of the penalty on over-long reasoning.'),
    len_buffer: key(count(0).default(64), 'The length penalty starts this far below max_new.', {
      unit: 'tokens',
    }),
    rep: key(z.number().default(0.2), 'Weight of the penalty on repeated 4-grams.'),
  })
  .prefault({})

const rl = z
  .strictObject({
    steps: key(count(0).default(200), 'Updates; 0 skips the phase.', { unit: 'steps' }),
    adapter: key(
      z.enum(['continue', 'stack']).default('continue'),
      'continue trains a copy of the imitation adapter; stack trains a fresh one on top of it, frozen.',
    ),
    rank: key(count().default(16), 'Rank of a stacked adapter.'),
    alpha: key(positive().default(32), 'Scale of a stacked adapter is alpha / rank.'),
    answer: key(
      z.enum(['constrained', 'free']).default('constrained'),
      'constrained chooses among the candidate titles by a trie; free lets the model write any text.',
    ),
    adv: key(
      z.enum(['grpo', 'dr_grpo', 'rloo']).default('grpo'),
      'How rewards of a group become advantages: grpo divides by their deviation, dr_grpo does not, rloo leaves one out.',
      { symbol: 'A' },
    ),
    adv_epsilon: key(positive().default(1e-6), 'Added to the group’s standard deviation in grpo.'),
    loss: key(
      z.enum(['ppo_clip', 'reinforce']).default('ppo_clip'),
      'Policy loss per token; reinforce has no ratio to clip.',
    ),
    eps: key(
      z.tuple([share(), z.number().min(0)]).default([0.2, 0.28]),
      'Clip range of the ratio, low and high; a higher high keeps exploration alive.',
      { symbol: 'epsilon' },
    ),
    dual_c: key(z.number().min(0).default(3), 'Bound of the loss for negative advantages; 0 turns it off.', {
      symbol: 'c',
    }),
    agg: key(
      z.enum(['token_mean', 'seq_mean_token_mean', 'seq_mean_token_sum', 'const_norm']).default('token_mean'),
      'How token losses become one number; sequence means favour short answers.',
    ),
    kl: z
      .strictObject({
        kind: key(
          z.enum(['k1', 'k2', 'k3']).default('k3'),
          'Estimator of the divergence from the reference.',
        ),
        beta: key(
          z.number().min(0).default(1e-3),
          'Weight of the divergence; 0 also saves its forward pass.',
          { symbol: 'beta' },
        ),
      })
      .prefault({}),
    group: key(count(2).default(8), 'Rollouts per prompt; more groups have both hits and misses.', {
      unit: 'rollouts',
      symbol: 'G',
    }),
    prompts: key(count().default(32), 'Prompts per step.', { unit: 'prompts', symbol: 'P' }),
    inner: key(count().default(1), 'Passes over one set of rollouts; above 1 the ratio leaves 1.', {
      unit: 'passes',
      symbol: 'mu',
    }),
    minibatches: key(count().default(1), 'Updates per pass.', { unit: 'updates' }),
    lr: key(positive().default(1e-5), 'Learning rate after warm-up.'),
    warmup: key(count(0).default(10), 'Steps with rising learning rate.', { unit: 'steps' }),
    clip_norm: key(z.number().min(0).default(1), 'Gradient norm limit; 0 turns it off.'),
    weight_decay: key(
      z.number().min(0).default(0),
      'Pull of every weight towards zero at each update (AdamW); 0 turns it off.',
    ),
    temperature: key(positive().default(1), 'Temperature of rollouts and of the trained log-probs.'),
    max_new: key(count(4).default(384), 'Longest reasoning of a rollout.', { unit: 'tokens' }),
    entropy: key(z.number().min(0).default(0), 'Weight of an entropy bonus.'),
    dynamic_sampling: key(
      z.boolean().default(true),
      'Drop groups whose rewards are all alike; they teach nothing and dilute the mean.',
    ),
    min_std: key(
      z.number().min(0).default(1e-3),
      'A group with a smaller standard deviation of rewards counts as alike.',
    ),
    refill_rounds: key(count(0).max(10).default(0), 'Rounds of further prompts to replace dropped groups.', {
      unit: 'rounds',
    }),
    mask_truncated: key(
      z.boolean().default(true),
      'Rollouts cut at max_new give no gradient but stay in the group statistics.',
    ),
    allfail: key(
      z.enum(['none', 'add_gt']).default('none'),
      'add_gt teaches the true title after the best reasoning of a group without a hit.',
    ),
    gt_weight: key(positive().default(1), 'Weight of that teaching against the policy loss.'),
    save_every: key(
      count().default(10),
      'Steps between checkpoints; a killed run repeats at most this many.',
      { unit: 'steps' },
    ),
    valid_every: key(count(0).default(0), 'Steps between validations on the valid split; 0 turns them off.', {
      unit: 'steps',
    }),
    valid_instances: key(count().default(64), 'Instances of one validation.', { unit: 'instances' }),
    reward,
  })
  .prefault({})

const evaluation = z
  .strictObject({
    instances: key(
      orAll().default(null),
      'Test instances; null takes all. Fewer than 2,000 cannot separate close methods.',
      { unit: 'instances' },
    ),
    mode: key(
      z.enum(['think_score', 'score', 'free']).default('think_score'),
      'How a model answers: think then score every candidate, score at once, or write freely.',
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
    controls: key(
      z.array(z.enum(['shuffled_history', 'answers_only'])).default([]),
      'shuffled_history: the last model reads other users’ histories. answers_only: trains the same adapter without reasoning, at the cost of two more trainings.',
    ),
    bootstrap: key(count(10).default(1000), 'Resamples of the 95 % intervals, by user.', {
      unit: 'resamples',
    }),
    chunk: key(count().default(32), 'Instances between two saved points.', { unit: 'instances' }),
  })
  .prefault({})

const report = z
  .strictObject({
    html: key(z.boolean().default(true), 'Write report.html.'),
    samples: key(count(0).default(8), 'Samples with their reasoning kept per phase and step.', {
      unit: 'samples',
    }),
  })
  .prefault({})

export const configSchema = z.strictObject({
  method: key(z.enum(['re2']).default('re2'), 'The paper whose prompts, gates and rewards are used.'),
  seed: key(
    count(0).default(0),
    'Seed of everything random; equal seeds give equal bits on one kind of machine.',
  ),
  data,
  prompt,
  model,
  collect,
  sft,
  rl,
  eval: evaluation,
  report,
})

export type Config = z.output<typeof configSchema>

/** Every key with its default, unit and consequence, for `--help`, the report and the documentation. */
export interface ConfigKey {
  readonly path: string
  readonly default: unknown
  readonly consequence: string
  readonly unit: string | null
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly description?: string
  readonly unit?: string
  readonly default?: unknown
}

export function configKeys(): readonly ConfigKey[] {
  const walk = (schema: JsonSchema, path: readonly string[]): ConfigKey[] =>
    schema.properties
      ? Object.entries(schema.properties).flatMap(([name, child]) => walk(child, [...path, name]))
      : [
          {
            path: path.join('.'),
            default: schema.default,
            consequence: schema.description ?? '',
            unit: schema.unit ?? null,
          },
        ]
  return walk(z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema, [])
}
