/**
 * Token ids of prompts, responses and answers. Every piece of the response's frame, the reasoning and each
 * part of the answer are encoded on their own and concatenated (the answer boundary rule): training, likelihood,
 * trie and rollouts then agree on one id sequence. Where a method says so, a choice's ids end with the closing
 * tag, so that titles are prefix-free ("Alien" and "Aliens").
 */

import type { Dataset, Instance } from '../../data/types.js'
import { createTrie, ReasonrecError, type Trie } from '../../engine/index.js'
import type { Method, PromptMode } from '../../methods/method.js'
import type { PromptPart } from '../../prompts/prompt.js'
import { titleSequences } from '../../prompts/title-sequences.js'
import { joined, type Tokenizer } from '../../prompts/tokenizer.js'

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

/** titles[item], and the trie whose leaf `item` is the item. */
export interface CatalogueTitles {
  readonly titles: readonly Int32Array[]
  readonly trie: Trie
}

export class Encoding {
  readonly frame: FrameIds
  /** Ends a response. */
  readonly eos: number
  private wholeCatalogue: CatalogueTitles | null = null

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

  /** An answer as it is chosen by a trie or scored: what it says, and the closing tag where choices close. */
  choice(answer: PromptPart): Int32Array {
    const ids = this.tokenizer.encodeParts([answer])
    return this.method.form.choiceCloses ? joined([ids, this.frame.answerClose]) : ids
  }

  /** In the order of Method.choices: that of the candidates, where there are candidates. */
  choices(instance: Instance): Int32Array[] {
    return this.method.choices(this.dataset, instance).map((answer) => this.choice(answer))
  }

  /** Every title of the catalogue with the closing tag, whatever the method's own choices are; made once. */
  catalogue(): CatalogueTitles {
    if (this.wholeCatalogue) return this.wholeCatalogue
    const titles = titleSequences(this.tokenizer, this.dataset.items, this.method.form.answerClose)
    this.wholeCatalogue = { titles, trie: createTrie(titles) }
    return this.wholeCatalogue
  }

  /** The choice that is right. */
  rightChoice(instance: Instance): Int32Array {
    const place = this.method.rightChoice(this.dataset, instance)
    const answer = this.method.choices(this.dataset, instance)[place]
    if (answer !== undefined) return this.choice(answer)
    throw new ReasonrecError('RR_DATA_ITEM', `the right answer to ${instance.id} is not among its choices`)
  }

  /** Everything before what an answer says that follows `reasoning`. */
  beforeAnswer(reasoning: PromptPart): Int32Array {
    const { thinkOpen, forcedAnswer } = this.frame
    return joined([thinkOpen, this.tokenizer.encodeParts([reasoning]), forcedAnswer])
  }

  /** The canonical response for training, end of turn included. */
  response(reasoning: PromptPart, answer: readonly PromptPart[]): EncodedResponse {
    const { thinkOpen, thinkClose, answerOpen } = this.frame
    const thought = joined([thinkOpen, this.tokenizer.encodeParts([reasoning]), thinkClose])
    return { ids: joined([thought, answerOpen, this.whole(answer)]), answerBegin: thought.length }
  }

  /** An answer without reasoning, end of turn included. */
  directResponse(answer: readonly PromptPart[]): EncodedResponse {
    return { ids: joined([this.frame.directOpen, this.whole(answer)]), answerBegin: 0 }
  }

  /** The right choice without reasoning; the end of the turn behind it only where choices close. */
  directRight(instance: Instance): EncodedResponse {
    const end = this.method.form.choiceCloses ? Int32Array.of(this.eos) : new Int32Array(0)
    return { ids: joined([this.frame.directOpen, this.rightChoice(instance), end]), answerBegin: 0 }
  }

  /** What an answer says, its closing tag and the end of the turn. */
  private whole(answer: readonly PromptPart[]): Int32Array {
    return joined([this.tokenizer.encodeParts(answer), this.frame.answerClose, Int32Array.of(this.eos)])
  }
}
