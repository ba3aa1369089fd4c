// Tiny random decoders of every family for the tests, and one training pass over a batch with them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "harness.h"
#include "model/decoder.h"

namespace reasonrec::test {

struct Family {
  std::string name;
  ModelConfig config;
};

// Widths are no multiples of a panel; heads share keys; head_dim * heads differs from hidden in
// two.
inline std::vector<Family> families() {
  ModelConfig base;
  base.family = "llama";
  base.hidden = 24;
  base.intermediate = 36;
  base.layers = 2;
  base.vocab = 41;
  base.max_position = 64;
  base.heads = 4;
  base.kv_heads = 2;
  base.head_dim = 6;
  base.rms_eps = 1e-5f;

  ModelConfig biased = base, scaled = base, linear = base, mistral = base, qwen2 = base,
              qwen3 = base;
  biased.qkv_bias = biased.o_bias = biased.mlp_bias = biased.tied_head = true;
  scaled.rope_scaling.kind = RopeScaling::Kind::kLlama3;
  scaled.rope_scaling.factor = 8;
  scaled.rope_scaling.original_max_position = 16;
  linear.rope_scaling.kind = RopeScaling::Kind::kLinear;
  linear.rope_scaling.factor = 4;
  mistral.family = "mistral";
  mistral.heads = 6;
  mistral.kv_heads = 1;
  mistral.head_dim = 8;
  qwen2.family = "qwen2";
  qwen2.qkv_bias = qwen2.tied_head = true;
  qwen2.rope_theta = 1e6;
  qwen3.family = "qwen3";
  qwen3.qk_norm = true;
  qwen3.head_dim = 10;
  qwen3.rms_eps = 1e-6f;
  return {{"llama", base},         {"llama, all biases, tied", biased},
          {"llama3 rope", scaled}, {"linear rope", linear},
          {"mistral", mistral},    {"qwen2", qwen2},
          {"qwen3", qwen3}};
}

// The families, and two of them with products in bf16: what must be equal to the bit is so in
// either.
inline std::vector<Family> identity_families() {
  std::vector<Family> all = families();
  for (const size_t i : {size_t(1), size_t(6)}) {
    Family half = families()[i];
    half.name += ", products in bf16";
    half.config.compute = Compute::kBF16;
    all.push_back(half);
  }
  return all;
}

// A trainable model whose norms and biases are random too.
inline std::unique_ptr<Model> tiny_model(const Context& context, const ModelConfig& config,
                                         uint64_t seed) {
  auto model = Model::random(context, config, seed, 0.25f, WeightType::kAuto);
  model->prepare_backward(context);
  model->make_trainable(context);
  Random random(seed + 1);
  for (const Parameter& p : model->layout().entries)
    for (int64_t i = 0; i < p.size() && !p.decay; ++i)
      model->values()[p.offset + i] =
          float((p.name.ends_with("bias") ? 0 : 1) + 0.2 * random.normal());
  model->refresh(context);
  return model;
}

inline std::unique_ptr<Adapter> tiny_adapter(const Context& context, const ModelConfig& config,
                                             int rank, uint64_t seed, float dropout = 0,
                                             uint32_t targets = 0x7f) {
  LoraConfig lora;
  lora.rank = rank;
  lora.alpha = 1.5f * float(rank);
  lora.dropout = dropout;
  for (size_t i = 0; i < kLinears; ++i) lora.targets[i] = targets >> i & 1;
  auto adapter = std::make_unique<Adapter>(config, lora);
  Random random(seed);
  for (int64_t i = 0; i < adapter->layout().total; ++i)
    adapter->values()[i] = float(0.2 * random.normal());
  adapter->refresh(context);
  return adapter;
}

// A batch with, for every row, the token it predicts (-1: none) and its weight in the loss.
struct Example {
  Batch batch;
  std::vector<int32_t> targets;
  std::vector<float> weights;
};

inline std::vector<int32_t> random_ids(Random& random, const ModelConfig& config, int64_t count) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(int32_t(random.integer(config.vocab)));
  return ids;
}

// Rows of one segment; each predicts the next, the last predicts nothing. weights: one per row.
inline int32_t append(Example& example, const std::vector<int32_t>& ids,
                      const std::vector<float>& weights, int32_t parent = -1,
                      int32_t position = 0) {
  for (size_t i = 0; i < ids.size(); ++i) {
    example.targets.push_back(i + 1 < ids.size() ? ids[i + 1] : -1);
    example.weights.push_back(i + 1 < ids.size() ? weights[i] : 0);
  }
  return example.batch.append(ids.data(), int64_t(ids.size()), parent, position);
}

struct PassOptions {
  bool recompute = false, adapter_gradients = true, model_gradients = true;
  float dropout = 0;
  uint64_t dropout_seed = 7;
  int64_t first_row = 0;
};

// loss = sum of weight * log-prob. Gradients are added to what is there. A tied head's gradient is
// kept apart from the embedding's until all passes are done: otherwise its sum's order would depend
// on how rows are cut into passes.
struct Pass {
  std::vector<float> hidden, logprobs, adapter, model, head;

  void run(const Context& context, const Model& m, const AdapterStack& stack, const Example& e,
           const PassOptions& o = {}) {
    const int64_t t = e.batch.rows(), h = m.config().hidden, v = m.config().vocab;
    const Kernels& kernels = *context.kernels;
    Activations saved;
    saved.recompute = o.recompute;
    saved.dropout = o.dropout;
    saved.dropout_seed = o.dropout_seed;
    saved.first_row = o.first_row;
    hidden = nans(t * h);
    decoder_forward_train(context, m, stack, e.batch, hidden.data(), saved);
    std::vector<float> lse = nans(t), dhidden = nans(t * h);
    logprobs = nans(t);
    kernels.head_forward(context, logprobs.data(), nullptr, lse.data(), nullptr, hidden.data(),
                         m.head(), e.targets.data(), {}, 1, t, h, v);
    if (stack.trained && o.adapter_gradients) adapter.resize(size_t(stack.trained->layout().total));
    if (o.model_gradients) model.resize(size_t(m.layout().total));
    Gradients gradients;
    if (!adapter.empty() && o.adapter_gradients) gradients.adapter = adapter.data();
    if (o.model_gradients) gradients.model = model.data();
    if (o.model_gradients) head.resize(size_t(v * h));
    float* dhead = o.model_gradients ? head.data() : nullptr;
    kernels.head_backward(context, dhidden.data(), dhead, e.weights.data(), nullptr, hidden.data(),
                          lse.data(), nullptr, m.head(), m.head_backward(), e.targets.data(), {}, 1,
                          t, h, v);
    decoder_backward(context, m, stack, e.batch, saved, dhidden.data(), gradients);
  }

  void join_head(const Model& m) {
    const int64_t offset = m.layout().at(m.head_name()).offset;
    for (size_t i = 0; i < head.size(); ++i) model[size_t(offset) + i] += head[i];
    head.clear();
  }
};

}  // namespace reasonrec::test
