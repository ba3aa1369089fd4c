// The whole decoder: embedding, layers, final norm; and the same walked backwards.
#include "model/decoder.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "model/decoder_layer.h"
#include "ops/attention_blocks.h"

namespace reasonrec {

int32_t Batch::append(const int32_t* tokens, int64_t count, int32_t parent, int32_t position,
                      int64_t past) {
  segments.push_back({parent, rows(), count, past});
  ids.insert(ids.end(), tokens, tokens + count);
  for (int64_t i = 0; i < count; ++i) positions.push_back(int32_t(position + i));
  return int32_t(segments.size()) - 1;
}

static AttentionShape attention_shape(const ModelConfig& c) {
  return {c.heads, c.kv_heads, c.head_dim, 0};  // only the sizes are asked for
}

int64_t kv_floats_k(const ModelConfig& c, int, int64_t capacity) {
  return key_floats(attention_shape(c), capacity);
}
int64_t kv_floats_v(const ModelConfig& c, int panel, int64_t capacity) {
  return value_floats(attention_shape(c), panel, capacity);
}

namespace {

// Everything a kernel would index memory with is checked here, once per batch.
void check_batch(const Model& model, const AdapterStack& adapters, const Batch& batch) {
  const ModelConfig& c = model.config();
  const int64_t t = batch.rows();
  check(int64_t(batch.positions.size()) == t, "RR_SHAPE_MISMATCH", "positions of a batch",
        std::to_string(t), std::to_string(batch.positions.size()));
  for (const int32_t id : batch.ids)
    check(id >= 0 && id < c.vocab, "RR_TOKEN_OUT_OF_RANGE", "a token id",
          "0 to " + std::to_string(c.vocab - 1), std::to_string(id),
          "the tokenizer belongs to another model");
  for (const int32_t p : batch.positions)
    check(p >= 0 && p < model.most_positions(), "RR_PROMPT_TOO_LONG", "a position of the sequence",
          "0 to " + std::to_string(model.most_positions() - 1), std::to_string(p),
          "shorten the prompt or the completion");
  int64_t row = 0;
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    const Segment& s = batch.segments[i];
    check(s.row_begin == row && s.rows >= 0 && s.past >= 0 && s.parent < int32_t(i),
          "RR_SHAPE_MISMATCH", "segments of a batch", "parents first, rows in order without gap",
          "segment " + std::to_string(i));
    row += s.rows;
  }
  check(row == t, "RR_SHAPE_MISMATCH", "rows of a batch's segments", std::to_string(t),
        std::to_string(row));
  for (const Adapter* a : {adapters.frozen, adapters.trained})
    if (a && !a->fits(c))
      throw Error("RR_SHAPE_MISMATCH", "the adapter was made for another model",
                  c.family + " of these widths", "other layers or widths",
                  "use the base model named in the adapter's configuration");
}

// One layer's worth of keys and values, lent to every layer in turn.
KvBlocks lend_kv(const Context& context, const ModelConfig& c, const Batch& batch) {
  return {{lend_blocks(context, "decoder.kv", attention_shape(c), batch.segments)}};
}

}  // namespace

void decoder_forward(const Context& context, const Model& model, const AdapterStack& adapters,
                     const Batch& batch, const KvBlocks& kv, float* hidden, Activations* saved) {
  check_batch(model, adapters, batch);
  const ModelConfig& c = model.config();
  const Kernels& kernels = *context.kernels;
  const int64_t t = batch.rows();
  model.prepare_forward(context, t ? 1 + *std::ranges::max_element(batch.positions) : 0);
  if (saved) saved->layers.resize(size_t(c.layers));

  float* x = context.scratch->floats("decoder.x", t * c.hidden);
  kernels.embedding_forward(context, x, batch.ids.data(), model.embedding(), t, c.hidden);

  for (int64_t l = 0; l < c.layers; ++l) {
    if (context.job) context.job->poll();
    Activations::Layer* keep = nullptr;
    if (saved) keep = saved->recompute ? &saved->rerun : &saved->layers[size_t(l)];
    if (saved && saved->recompute) {
      Buffer& input = saved->layers[size_t(l)].x;
      input.resize(t * c.hidden);
      std::memcpy(input.data(), x, size_t(t * c.hidden) * sizeof(float));
    }
    layer_forward({context, model, adapters, batch, kv.layer(l), l, saved}, x, keep);
  }

  float* inv_rms = nullptr;
  if (saved) {
    saved->inv_rms_final.resize(t);
    saved->x_final.resize(t * c.hidden);
    inv_rms = saved->inv_rms_final.data();
    std::memcpy(saved->x_final.data(), x, size_t(t * c.hidden) * sizeof(float));
  }
  kernels.rmsnorm_forward(context, hidden, inv_rms, x, model.final_norm(), t, c.hidden, c.rms_eps);
}

void decoder_forward_train(const Context& context, const Model& model, const AdapterStack& adapters,
                           const Batch& batch, float* hidden, Activations& saved) {
  decoder_forward(context, model, adapters, batch, lend_kv(context, model.config(), batch), hidden,
                  &saved);
}

void decoder_backward(const Context& context, const Model& model, const AdapterStack& adapters,
                      const Batch& batch, Activations& saved, const float* dhidden,
                      const Gradients& gradients) {
  check_batch(model, adapters, batch);
  check(!model.head_backward().empty(), "RR_NOT_TRAINABLE", "the model has no transposed panels",
        "prepare_backward() before a backward");
  const ModelConfig& c = model.config();
  const Kernels& kernels = *context.kernels;
  const int64_t t = batch.rows();
  const auto parameter = [&](const char* name) {
    return gradients.model ? gradients.model + model.layout().at(name).offset : nullptr;
  };

  float* dx = context.scratch->floats("decoder.dx", t * c.hidden);
  kernels.rmsnorm_backward(context, dx, parameter("model.norm.weight"), dhidden,
                           saved.x_final.data(), model.final_norm(), saved.inv_rms_final.data(), t,
                           c.hidden, false);

  KvBlocks kv;
  if (saved.recompute) kv = lend_kv(context, c, batch);
  for (int64_t l = c.layers; l-- > 0;) {
    if (context.job) context.job->poll();
    LayerCall call{context, model, adapters, batch, nullptr, l, &saved};
    Activations::Layer* layer = &saved.layers[size_t(l)];
    if (saved.recompute) {
      float* x = context.scratch->floats("decoder.x", t * c.hidden);
      std::memcpy(x, layer->x.data(), size_t(t * c.hidden) * sizeof(float));
      call.kv = kv.layer(l);
      layer_forward(call, x, &saved.rerun);
      layer = &saved.rerun;
    }
    layer_backward(call, dx, *layer, gradients, l > 0 || gradients.model);
  }
  if (gradients.model)
    kernels.embedding_backward(context, parameter("model.embed_tokens.weight"), batch.ids.data(),
                               dx, t, c.hidden);
}

}  // namespace reasonrec
