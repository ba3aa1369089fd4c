/** What goes in: data, prompt, model. */

import { z } from 'zod'
import { protocolPattern } from '../../data/protocol.js'
import { tiePolicies } from '../../data/raw.js'
import { count, key, orAll, positive } from '../key.js'

export const data = z
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
      z.string().regex(protocolPattern, 'C and a length such as C20 or C20pop, or full').default('C20'),
      'Protocol: C20 is the target and 19 uniform negatives, C20pop draws them by popularity, full ranks the whole catalogue (counting rows only); published lists keep their length.',
    ),
    cand_seed: key(
      count(0).default(0),
      'Seed of the negatives; other seeds give the sampling error of the protocol.',
    ),
    cand_file: key(
      z.string().nullable().default(null),
      'Lists of validation and test from a file that `data candidates` wrote; null draws them. Methods elsewhere can answer the same lists.',
    ),
    published: key(
      z.enum(['keep', 'redraw']).default('keep'),
      'Candidate lists that come with the data: keep them (comparable with published numbers) or draw others for the same tests.',
    ),
    exclude: key(
      z.enum(['user', 'window']).default('user'),
      'No negative is an item that its user ever chose (user), or merely none of the history shown (window, as some published lists): then a negative may be a later choice.',
    ),
    ties: key(
      z.enum(tiePolicies).default('file'),
      'Interactions of a user with equal times: in the order of the file (file), which may be that of the ids and give them away; in an order drawn from data.tie_seed, user and time (shuffle); or none are allowed (refuse).',
    ),
    tie_seed: key(
      count(0).default(0),
      'Seed of that order; no other seed changes it, so runs share their tests.',
    ),
    repeat_targets: key(
      z.enum(['drop_shown', 'drop_all', 'keep']).default('drop_shown'),
      'Targets that the user chose before: drop those in the history shown, drop all, or keep them; kept, a copy of the history scores.',
    ),
    max_train_per_user: key(
      orAll().default(null),
      'Training instances kept per user, by hash; few spread the traces over more users.',
      { unit: 'instances' },
    ),
    core: key(
      orAll(2).default(null),
      'Drop users and items with fewer interactions until none are left; null keeps all. Chains need others who chose the same.',
      { unit: 'interactions' },
    ),
    max_users: key(
      orAll().default(null),
      'Users kept, by hash; null keeps all. Large sets do not fit a graph and a list of candidates otherwise.',
      { unit: 'users' },
    ),
    item_text: key(z.enum(['title']).default('title'), 'What of an item the model reads.'),
  })
  .prefault({})

export const prompt = z
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

export const model = z
  .strictObject({
    dir: key(
      z.string().nullable().default(null),
      'Hugging Face folder with config.json, tokenizer.json and *.safetensors, or a GGUF file; --model sets it.',
    ),
    dtype: key(
      z.enum(['auto', 'fp32', 'bf16']).default('auto'),
      'How weight matrices are held: bf16 takes half of fp32 and rounds what is stored finer; auto takes bf16 where the files store bf16 (same bits, half the memory), else fp32. Sums are fp32 in either.',
    ),
    compute: key(
      z.enum(['fp32', 'bf16']).default('fp32'),
      'How products with weights and adapters are computed: bf16 rounds activations to bf16 too and holds weights in bf16; about twice as quick where the machine multiplies bf16, log-probs change in the third digit. Sums, attention and adapter gradients are fp32 in either.',
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
