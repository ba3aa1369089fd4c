#include "train/training_pass.h"

#include <algorithm>
#include <string>

#include "decode/kv_cache.h"
#include "ops/row_gather.h"

namespace reasonrec {

void TrainingPass::forward(const Context& context, const AdapterStack& adapters, const Batch& batch,
                           bool train) {
  hidden.resize(batch.rows() * model.config().hidden);
  if (train) {
    decoder_forward_train(context, model, adapters, batch, hidden.data(), saved);
    return;
  }
  KvCache cache(model.config(), context.kernels->panel);
  KvTable table(1);
  std::vector<KvSegment> keys;
  for (const Segment& s : batch.segments) {
    keys.push_back(cache.acquire(s.rows, 1));
    table.append(keys.back());
  }
  decoder_forward(context, model, adapters, batch, table.blocks, hidden.data(), nullptr);
}

void TrainingPass::head_forward(const Context& context, HeadRows& head, bool entropy) {
  const int64_t n = head.size(), h = model.config().hidden;
  head.hidden.resize(n * h);
  head.logprob.resize(n);
  head.lse.resize(n);
  if (entropy) head.entropy.resize(n);
  if (n == 0) return;
  gather_rows(head.hidden.data(), hidden.data(), head.rows, h);
  context.kernels->head_forward(
      context, head.logprob.data(), entropy ? head.entropy.data() : nullptr, head.lse.data(),
      nullptr, head.hidden.data(), model.head(), head.targets.data(), head.allowed.view(),
      head.inv_temperature, n, h, model.config().vocab);
}

void TrainingPass::zero_dhidden(int64_t rows) {
  dhidden.resize(rows * model.config().hidden);
  std::fill_n(dhidden.data(), dhidden.size(), 0.0f);
}

void TrainingPass::head_backward(const Context& context, HeadRows& head, const float* dlogprob,
                                 const float* dentropy) {
  const int64_t n = head.size(), h = model.config().hidden;
  if (n == 0) return;
  float* dhead = nullptr;
  if (full())
    dhead = head_gradient.size() > 0
                ? head_gradient.data()
                : gradients.data() + model.layout().at(model.head_name()).offset;
  dhead_rows.resize(n * h);
  context.kernels->head_backward(
      context, dhead_rows.data(), dhead, dlogprob, dentropy, head.hidden.data(), head.lse.data(),
      head.entropy.size() == n ? head.entropy.data() : nullptr, model.head(), model.head_backward(),
      head.targets.data(), head.allowed.view(), head.inv_temperature, n, h, model.config().vocab);
  scatter_add_rows(dhidden.data(), dhead_rows.data(), head.rows, h);
}

void TrainingPass::backward(const Context& context, const Batch& batch) {
  Gradients into;
  (full() ? into.model : into.adapter) = gradients.data();
  decoder_backward(context, model, stack(), batch, saved, dhidden.data(), into);
}

void check_sequence(const Model& model, const std::vector<int32_t>& ids, int64_t length,
                    const char* what) {
  const int64_t v = model.config().vocab;
  for (int32_t id : ids)  // a check() per token would build its texts every time
    if (id < 0 || id >= v)
      throw Error("RR_TOKEN_OUT_OF_RANGE",
                  std::string(what) + " holds a token outside the vocabulary",
                  "0 to " + std::to_string(v - 1), std::to_string(id),
                  "the tokenizer and the model do not belong together");
  check(length <= model.most_positions(), "RR_PROMPT_TOO_LONG",
        std::string(what) + " does not fit the model's context",
        "at most " + std::to_string(model.most_positions()) + " tokens", std::to_string(length),
        "shorten the history or the completion");
}

}  // namespace reasonrec
