/**
 * Writes src/quickstart/model/{tokenizer,tokenizer_config,config,generation_config}.json.
 *   npx tsx src/quickstart/pretraining/make-tokenizer.ts
 * Byte-level BPE learnt by the `tokenizers` package from the embedded catalogue's words and the fixed words of
 * the texts (skills.ts, the compact prompts), each as it stands in a text: title words at the start of a piece,
 * everything else behind a blank. The marks that begin a line ("\n+ ", "\n- ", "\na ", "\nC07 ", "\n2 ") are pieces
 * of their own, so a title costs three tokens in a list; a label of an answer ("C07"), a rating (" 4") and what stands
 * between labels (" > ") are one each. The four tags of the response form and the end token are added tokens.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { byteAlphabet, byteLevel, byteLevelTokenizer, splitBy } from '../../prompts/byte-level-bpe.js'
import type { TokenizerJson } from '../../prompts/tokenizer-json.js'
import { makers, moods, themes, titleWords } from '../catalogue-words.js'
import { embeddedModelFolder } from '../embedded.js'

interface LearnedBpe {
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>
    readonly merges: readonly (string | readonly [string, string])[]
  }
}

interface TokenizersPackage {
  readonly Tokenizer: { fromString(json: string): { train(files: string[]): void; save(path: string): void } }
}

const special = ['<|end|>', '<think>', '</think>', '<answer>', '</answer>']
// The marks of lines are pieces of their own, and so are labels and a blank line. "1 " may open a text.
const pieces =
  '\\n(?:[+\\-ab1-4]|C\\p{N}{2}) |1 (?=\\p{Lu})| > |\\n+|C\\p{N}{2}| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+'
const folder = `${embeddedModelFolder()}/`

/** Candidates of R2Rec's lists. */
const labels = Array.from({ length: 20 }, (_, place) => `C${String(place + 1).padStart(2, '0')}`)

/**
 * The package reads line by line, so pieces with a line break are merged by hand, in GPT-2's printable bytes: a line
 * break is U+010A, a blank U+0120. A label is one entry by then.
 */
const lineMarks = ['+', '-', 'a', 'b', '2', '3', '4', ...labels].flatMap(
  (mark) =>
    [
      ['Ċ', mark],
      [`Ċ${mark}`, 'Ġ'],
    ] as const,
)
const marks = [['Ċ', 'Ċ'], ['1', 'Ġ'], ['Ġ', '>'], ['Ġ>', 'Ġ'], ...lineMarks] as const

/** Words at the start of a piece, and behind a blank. */
function corpus(): string {
  const starting = [
    ...titleWords,
    'history',
    'choose',
    'explain',
    'name',
    'next',
    'common',
    'likes',
    'and',
    'so',
    'chain',
    'rate',
    'guess',
    ...labels,
  ]
  const ratings = ['1', '2', '3', '4', '5']
  const words = [...themes, ...makers, ...moods, 'is', 'common', 'likes', 'so', 'agree', 'differ', 'none']
  const lines = [...starting, ...[...words, ...ratings, '?'].map((word) => `: ${word}`)]
  return `${lines.join('\n')}\nx, x: x. x`
}

function tokenizerJson(
  vocab: Readonly<Record<string, number>>,
  merges: LearnedBpe['model']['merges'],
): TokenizerJson {
  const known = special.flatMap((content) => (content in vocab ? [[content, vocab[content]!] as const] : []))
  return byteLevelTokenizer(known, splitBy(pieces), byteLevel(false), { vocab, merges })
}

/** Merges in the order they were learnt. */
function learn(text: string): (readonly [string, string])[] {
  const { Tokenizer } = createRequire(import.meta.url)('tokenizers') as TokenizersPackage
  const scratch = mkdtempSync(join(tmpdir(), 'embedded-tokenizer-'))
  const [file, learned] = [join(scratch, 'words.txt'), join(scratch, 'learned.json')]
  writeFileSync(file, text)
  const tokenizer = Tokenizer.fromString(JSON.stringify(tokenizerJson({}, [])))
  tokenizer.train([file])
  tokenizer.save(learned)
  const { model } = createRequire(import.meta.url)(learned) as LearnedBpe
  rmSync(scratch, { recursive: true })
  return model.merges.map((merge) =>
    typeof merge === 'string' ? (merge.split(' ') as [string, string]) : merge,
  )
}

function write(name: string, value: unknown): void {
  writeFileSync(`${folder}${name}`, `${JSON.stringify(value, null, 1)}\n`)
}

const merges = [...learn(corpus()), ...marks]
const vocabulary = [...special, ...byteAlphabet().sort(), ...merges.map(([left, right]) => left + right)]
if (new Set(vocabulary).size !== vocabulary.length) throw new Error('two merges give the same entry')
// A multiple of 16 suits the kernels; the entries above the tokenizer's own are never learnt.
const rows = Math.ceil(vocabulary.length / 16) * 16
write('tokenizer.json', tokenizerJson(Object.fromEntries(vocabulary.map((token, id) => [token, id])), merges))
write('tokenizer_config.json', {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: null,
  eos_token: special[0],
  pad_token: special[0],
  clean_up_tokenization_spaces: false,
  model_max_length: 512,
})
write('config.json', {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  head_dim: 32,
  vocab_size: rows,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  rope_scaling: null,
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
  hidden_act: 'silu',
  bos_token_id: null,
  eos_token_id: 0,
  torch_dtype: 'bfloat16',
})
write('generation_config.json', { eos_token_id: 0, pad_token_id: 0 })
process.stdout.write(`${vocabulary.length} entries, ${merges.length} merges\n`)
