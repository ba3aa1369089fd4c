/**
 * One explained recommendation from a trained adapter:
 *   node docs/examples/recommend.mjs RUN "A|B|C" "X|Y|Z"
 */

import { loadModel } from 'reasonrec'

const [run, history, candidates] = process.argv.slice(2)
const model = await loadModel({ model: 'embedded', adapter: `${run}/adapter` })
const { reasoning, ranking } = await model.recommend({
  history: history.split('|'),
  candidates: candidates.split('|'),
})
console.log(reasoning)
for (const { title, share } of ranking) console.log(`${(100 * share).toFixed(1).padStart(5)} %  ${title}`)
