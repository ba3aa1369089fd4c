/** Which paper a run follows, what is known of it and what is ours: by the method in config.yaml. */

import type { Block } from './story-blocks.js'

export const honestSentence =
  'This run follows RE2 (“From Prediction to Understanding: Leveraging Reasoning in Large Language Model-based Recommendations”, WWW 2026, DOI 10.1145/3774904.3792283) as its abstract describes it. Everything the abstract leaves open was chosen by this project; these defaults are ours and are marked as ours below. No number of RE2’s own is known, so no claim to reproduce one is made.'

export const honestR2RecSentence =
  'This run follows R2Rec (“Reason-to-Recommend: Using Interaction-of-Thought Reasoning to Enhance LLM Recommendation”, arXiv 2506.05069) as its abstract and two reviews describe it. Everything they leave open was chosen by this project; these defaults are ours and are marked as ours below. Of the paper’s numbers only two averages of its abstract are known, on other data than this, so no claim to reproduce one is made.'

/** `config`: the text of config.yaml. */
export function originBlocks(config: string | null): Block[] {
  return /^method: r2rec\b/m.test(config ?? '') ? r2rec : re2
}

const re2: Block[] = [
  { kind: 'text', text: honestSentence },
  {
    kind: 'table',
    caption: 'What comes from the paper and what is ours',
    head: ['From RE2’s abstract', 'Defaults of this project (ours)'],
    numeric: [false, false],
    rows: [
      [
        'Reasoning first, then the recommendation',
        'The prompts, the tags, the length allowed to an explanation',
      ],
      [
        'Reasoning Collection: LLMs are guided to write both for each sequence',
        'Unhinted then hinted samples, the gates, the builtin teacher as a fallback',
      ],
      [
        'Pattern Imitation: supervised tuning on what was collected',
        'LoRA, its rank, the learning rate and schedule, loss on responses only',
      ],
      [
        'Pattern Internalization: RL for accuracy and for rationality of the reasoning',
        'Group-relative advantages, clip-higher, k3 KL, the reward terms; likelihood gain as the measure of rationality',
      ],
      ['Self-distillation or a teacher; no user metadata', 'Candidate lists, splits, metrics, intervals'],
    ],
  },
]

const r2rec: Block[] = [
  { kind: 'text', text: honestR2RecSentence },
  {
    kind: 'table',
    caption: 'What comes from the paper and what is ours',
    head: ['From R2Rec’s abstract and reviews', 'Defaults of this project (ours)'],
    numeric: [false, false],
    rows: [
      [
        'Chains of interactions from the graph of users and items',
        'Which edge is asked for, how other users are drawn, how many chains, the fallback for users without one',
      ],
      [
        'Progressive masked prompting to interaction-of-thoughts',
        'The order of masking, the wording, the quality filter, the builtin teacher as a fallback',
      ],
      [
        'Supervised tuning on questions, reasoning and answers, by LoRA',
        'Its rank and rates, the share of ranking questions',
      ],
      [
        'Reinforcement learning on reward signals (GRPO, by a later paper)',
        'The reward terms, group size, KL, the adapter stacked on the tuned one',
      ],
      [
        'HitRatio@1',
        'How a rating question becomes a ranking, candidates, splits, the other metrics, intervals',
      ],
    ],
  },
]
