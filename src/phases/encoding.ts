/**
 * Token ids of prompts, responses and titles. Every piece of the response's frame, the reasoning and the
 * title are encoded on their own and concatenated (the answer boundary rule): training, likelihood, trie
 * and rollouts then agree on one id sequence. A title's ids end with the closing tag, so titles are
 * prefix-free ("Alien" and "Aliens").
 */

import type { Dataset, Instance, ItemIndex } from '../data/types.js'
import { ReasonrecError } from '../engine/errors.js'
import type { Method, PromptMode } from '../methods/method.js'
import type { PromptPart } from '../prompts/prompt.js'
import { joined, type Tokenizer } from '../prompts/tokenizer.js'

/** Ids of the fixed pieces of a response. */
export interface FrameIds {
  readonly thinkOpen: Int32Array
  readonly thinkClose: Int32Array
  readonly answerOpen: Int32Array
  readonly answerClose: Int32Array
  /** "\n</think>\n<answer>": closes a reasoning that did not end by itself. */
  readonly forcedAnswer: Int32Array
  /** Opens an answer without reasoning. */
  readonly directOpen: Int32Array
}

/** Ids of a whole response and where its answer begins (its opening tag). */
export interface EncodedResponse {
  readonly ids: Int32Array
  readonly answerBegin: number
}

export class Encoding {
  readonly frame: FrameIds
  /** Ends a response. */
  readonly eos: number
  private readonly titles = new Map<ItemIndex, Int32Array>()

  constructor(
    private readonly dataset: Dataset,
    private readonly method: Method,
    readonly tokenizer: Tokenizer,
  ) {
    const [eos] = tokenizer.eosIds
    if (eos === undefined) {
      throw new ReasonrecError('RR_TOKENIZER_NO_END', 'the tokenizer names no token that ends a turn', {
        expected: 'eos_token in tokenizer_config.json, or eos_token_id in config.json',
        remedy: 'add it to the model folder',
      })
    }
    this.eos = eos
    const { thinkOpen, thinkClose, answerOpen, answerClose, directOpen } = method.form
    const piece = (text: string): Int32Array => tokenizer.encodeParts([text])
    this.frame = {
      thinkOpen: piece(thinkOpen),
      thinkClose: piece(thinkClose),
      answerOpen: piece(answerOpen),
      answerClose: piece(answerClose),
      forcedAnswer: joined([piece(thinkClose), piece(answerOpen)]),
      directOpen: piece(directOpen),
    }
  }

  /** Chat template applied, generation prompt at the end. */
  prompt(instance: Instance, mode: PromptMode): Int32Array {
    return this.tokenizer.encodePrompt(this.method.prompt(this.dataset, instance, mode))
  }

  /** Title and closing tag. */
  title(item: ItemIndex): Int32Array {
    const known = this.titles.get(item)
    if (known) return known
    const entry = this.dataset.items[item]
    if (!entry) throw new ReasonrecError('RR_DATA_ITEM', `no item ${item} in the catalogue`)
    const ids = joined([this.tokenizer.encodeParts([entry.title]), this.frame.answerClose])
    this.titles.set(item, ids)
    return ids
  }

  candidateTitles(instance: Instance): Int32Array[] {
    return instance.candidates.map((item) => this.title(item))
  }

  /** Everything before the title of an answer that follows `reasoning`. */
  beforeTitle(reasoning: PromptPart): Int32Array {
    const { thinkOpen, forcedAnswer } = this.frame
    return joined([thinkOpen, this.tokenizer.encodeParts([reasoning]), forcedAnswer])
  }

  /** The canonical response for training, end of turn included. `reasoning` null: the direct form. */
  response(reasoning: PromptPart | null, item: ItemIndex): EncodedResponse {
    const eos = Int32Array.of(this.eos)
    if (reasoning === null) {
      return { ids: joined([this.frame.directOpen, this.title(item), eos]), answerBegin: 0 }
    }
    const { thinkOpen, thinkClose, answerOpen } = this.frame
    const thought = joined([thinkOpen, this.tokenizer.encodeParts([reasoning]), thinkClose])
    return { ids: joined([thought, answerOpen, this.title(item), eos]), answerBegin: thought.length }
  }
}
