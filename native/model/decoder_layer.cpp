// Forward and backward of one decoder layer; see decoder_layer.h for the formulas.
// The backward reads bottom up: each block undoes the forward block of the same heading.
#include "model/decoder_layer.h"

#include <cmath>
#include <cstring>
#include <tuple>

#include "ops/linear_lora.h"

namespace reasonrec {

namespace {

// The four layer inputs that adapters read, each with its own dropout stream.
enum Input : int { kAttentionNorm, kAttentionOutput, kMlpNorm, kSwiglu };

// What forward and backward share: shapes, weights, and the linear op with its adapters.
class LayerPass {
 public:
  explicit LayerPass(const LayerCall& call)
      : context(call.context),
        kernels(*call.context.kernels),
        config(call.model.config()),
        weights(call.model.layer(call.layer)),
        rows(call.batch.rows()),
        query_width(int64_t(config.heads) * config.head_dim),
        key_width(int64_t(config.kv_heads) * config.head_dim),
        call_(call) {}

  float* scratch(const char* name, int64_t width) const {
    return context.scratch->floats(name, rows * width);
  }

  void norm(float* y, float* inv_rms, const float* x, const float* weight) const {
    kernels.rmsnorm_forward(context, y, inv_rms, x, weight, rows, config.hidden, config.rms_eps);
  }
  void rope(float* x, int heads, bool inverse) const {
    kernels.rope(context, x, call_.batch.positions.data(), call_.model.rope_cos(),
                 call_.model.rope_sin(), rows, heads, config.head_dim, inverse);
  }
  AttentionShape attention_shape() const {
    return {config.heads, config.kv_heads, config.head_dim,
            float(1 / std::sqrt(double(config.head_dim)))};
  }

  // What the adapters read: x itself, or x with its dropout mask applied, in `to`.
  const float* adapter_input(const float* x, Input input, int64_t width, const char* to) const {
    if (!has_dropout()) return x;
    float* masked = scratch(to, width);
    mask(masked, x, input, width);
    return masked;
  }

  // y (T, out) = W x + bias + adapters(x_lora). u: buffers to keep the trained adapter's products
  // in, or null.
  void linear(Linear which, float* y, const float* x, const float* x_lora, Buffer* u) const {
    LoraTerm terms[kMaxLoraTerms];
    const int count = lora_terms(which, terms, u);
    linear_lora_forward(context, y, x, x_lora, weights.linear[which], terms, count, rows);
  }

  // dx (T, in) (+= if accumulate), and the parameter gradients that are wanted; dx null: those
  // only.
  void linear_backward(Linear which, float* dx, bool accumulate, const float* dy, const float* x,
                       const float* x_lora, Input input, const Activations::Layer& saved,
                       const Gradients& gradients) const {
    LoraTerm terms[kMaxLoraTerms];
    const int count =
        lora_terms(which, terms, const_cast<Buffer*>(saved.u));  // read only in a backward
    LinearGradients wanted;
    const Adapter* trained = call_.adapters.trained;
    if (gradients.adapter && trained && trained->offset_a(call_.layer, which) >= 0) {
      wanted.trained = count - 1;
      wanted.scale = trained->scale(call_.layer, which);
      wanted.da = gradients.adapter + trained->offset_a(call_.layer, which);
      wanted.db = gradients.adapter + trained->offset_b(call_.layer, which);
    }
    if (gradients.model) {
      const LayerOffsets& at = call_.model.offsets(call_.layer);
      wanted.dw = gradients.model + at.weight[which];
      if (at.bias[which] >= 0) wanted.dbias = gradients.model + at.bias[which];
    }
    const int64_t width = weights.linear[which].in;
    const bool separate = dx && has_dropout() && adapted(terms, count);
    float* dx_lora = separate ? scratch("decoder.dx_lora", width) : nullptr;
    linear_lora_backward(context, dx, dx_lora, accumulate, dy, x, x_lora, weights.linear[which],
                         terms, count, wanted, rows);
    if (separate) {  // the adapters saw masked inputs
      mask(dx_lora, dx_lora, input, width);
      kernels.add(context, dx, dx_lora, rows * width);
    }
  }

  // Where a norm's or bias's gradient goes: null when the base is frozen.
  float* vector_gradient(const Gradients& gradients, int64_t LayerOffsets::* which) const {
    return gradients.model ? gradients.model + call_.model.offsets(call_.layer).*which : nullptr;
  }

  const Context& context;
  const Kernels& kernels;
  const ModelConfig& config;
  const LayerWeights& weights;
  const int64_t rows, query_width, key_width;

 private:
  bool has_dropout() const { return call_.dropout && call_.dropout->dropout > 0; }
  void mask(float* y, const float* x, Input input, int64_t width) const {
    const Activations& d = *call_.dropout;
    kernels.dropout(context, y, x, d.first_row * width, rows * width, d.dropout, d.dropout_seed,
                    uint64_t(call_.layer * 4 + input));
  }
  static bool adapted(const LoraTerm* terms, int count) {
    for (int i = 0; i < count; ++i)
      if (!terms[i].panels->a.empty()) return true;
    return false;
  }
  int lora_terms(Linear which, LoraTerm* terms, Buffer* u) const {
    int count = 0;
    if (const Adapter* frozen = call_.adapters.frozen) {
      const LoraPanels& panels = frozen->panels(call_.layer, which);
      terms[count++] = {&panels, scratch("decoder.u_frozen", panels.rank)};
    }
    if (const Adapter* trained = call_.adapters.trained) {
      const LoraPanels& panels = trained->panels(call_.layer, which);
      if (u) u[which].resize(rows * panels.rank);
      terms[count++] = {&panels, u ? u[which].data() : scratch("decoder.u_trained", panels.rank)};
    }
    return count;
  }

  const LayerCall& call_;
};

// The buffer an intermediate goes to: kept for the backward, or scratch.
struct Keep {
  const LayerPass& pass;
  bool saving;
  float* operator()(Buffer* buffer, const char* name, int64_t width) const {
    if (!saving) return pass.scratch(name, width);
    buffer->resize(pass.rows * width);
    return buffer->data();
  }
};

}  // namespace

void layer_forward(const LayerCall& call, float* x, Activations::Layer* saved) {
  const LayerPass pass(call);
  const auto& [context, kernels, config, w] =
      std::tie(pass.context, pass.kernels, pass.config, pass.weights);
  Activations::Layer none;
  Activations::Layer& s = saved ? *saved : none;
  Buffer* const u = saved ? s.u : nullptr;
  const Keep keep{pass, saved != nullptr};
  const int64_t t = pass.rows, h = config.hidden;

  // n = norm(x)
  if (saved) std::memcpy(keep(&s.x, "", h), x, size_t(t * h) * sizeof(float));
  float* n = pass.scratch("decoder.n", h);
  pass.norm(n, keep(&s.inv_rms_1, "decoder.inv_rms", 1), x, w.input_norm);

  // q, k, v = W n
  const float* n_lora = pass.adapter_input(n, kAttentionNorm, h, "decoder.dropped");
  float* q = keep(&s.q, "decoder.q", pass.query_width);
  float* k = keep(&s.k, "decoder.k", pass.key_width);
  float* v = keep(&s.v, "decoder.v", pass.key_width);
  float* q_linear = config.qk_norm ? keep(&s.q_raw, "decoder.q_raw", pass.query_width) : q;
  float* k_linear = config.qk_norm ? keep(&s.k_raw, "decoder.k_raw", pass.key_width) : k;
  pass.linear(kQ, q_linear, n, n_lora, u);
  pass.linear(kK, k_linear, n, n_lora, u);
  pass.linear(kV, v, n, n_lora, u);

  // q, k = rope(norm over each head)
  if (config.qk_norm) {
    kernels.rmsnorm_forward(context, q, keep(&s.inv_rms_q, "decoder.inv_rms", config.heads),
                            q_linear, w.q_norm, t * config.heads, config.head_dim, config.rms_eps);
    kernels.rmsnorm_forward(context, k, keep(&s.inv_rms_k, "decoder.inv_rms", config.kv_heads),
                            k_linear, w.k_norm, t * config.kv_heads, config.head_dim,
                            config.rms_eps);
  }
  pass.rope(q, config.heads, false);
  pass.rope(k, config.kv_heads, false);

  // x += W_o attention(q, k, v)
  const std::vector<Segment>& tree = call.batch.segments;
  float* attention = keep(&s.attention, "decoder.attention", pass.query_width);
  kernels.kv_append(context, call.kv, tree.data(), int64_t(tree.size()), k, v,
                    pass.attention_shape());
  kernels.attention_forward(context, attention, keep(&s.lse, "decoder.lse", config.heads), q,
                            call.kv, tree.data(), int64_t(tree.size()), pass.attention_shape());
  float* y = pass.scratch("decoder.y", h);
  pass.linear(kO, y, attention,
              pass.adapter_input(attention, kAttentionOutput, pass.query_width, "decoder.dropped"),
              u);
  kernels.add(context, x, y, t * h);

  // n = norm(x)
  if (saved) std::memcpy(keep(&s.x_mid, "", h), x, size_t(t * h) * sizeof(float));
  pass.norm(n, keep(&s.inv_rms_2, "decoder.inv_rms", 1), x, w.post_norm);

  // x += W_down (silu(W_gate n) * W_up n)
  n_lora = pass.adapter_input(n, kMlpNorm, h, "decoder.dropped");
  float* gate = keep(&s.gate, "decoder.gate", config.intermediate);
  float* up = keep(&s.up, "decoder.up", config.intermediate);
  pass.linear(kGate, gate, n, n_lora, u);
  pass.linear(kUp, up, n, n_lora, u);
  float* m = pass.scratch("decoder.m", config.intermediate);
  kernels.swiglu_forward(context, m, gate, up, t, config.intermediate);
  pass.linear(kDown, y, m, pass.adapter_input(m, kSwiglu, config.intermediate, "decoder.dropped"),
              u);
  kernels.add(context, x, y, t * h);
}

namespace {

// x += W_down (silu(W_gate n) * W_up n), n = norm(x)
void mlp_backward(const LayerPass& pass, float* dx, const Activations::Layer& s,
                  const Gradients& gradients) {
  const auto& [context, kernels, config, w] =
      std::tie(pass.context, pass.kernels, pass.config, pass.weights);
  const int64_t t = pass.rows, h = config.hidden, width = config.intermediate;

  float* m = pass.scratch("decoder.m", width);
  float* dm = pass.scratch("decoder.dm", width);
  kernels.swiglu_forward(context, m, s.gate.data(), s.up.data(), t, width);
  const float* m_lora = pass.adapter_input(m, kSwiglu, width, "decoder.dropped");
  pass.linear_backward(kDown, dm, false, dx, m, m_lora, kSwiglu, s, gradients);

  float* dgate = pass.scratch("decoder.dgate", width);
  float* dup = pass.scratch("decoder.dup", width);
  kernels.swiglu_backward(context, dgate, dup, dm, s.gate.data(), s.up.data(), t, width);

  float* n = pass.scratch("decoder.n", h);
  float* dn = pass.scratch("decoder.dn", h);
  pass.norm(n, nullptr, s.x_mid.data(), w.post_norm);
  const float* n_lora = pass.adapter_input(n, kMlpNorm, h, "decoder.dropped");
  pass.linear_backward(kGate, dn, false, dgate, n, n_lora, kMlpNorm, s, gradients);
  pass.linear_backward(kUp, dn, true, dup, n, n_lora, kMlpNorm, s, gradients);
  kernels.rmsnorm_backward(context, dx, pass.vector_gradient(gradients, &LayerOffsets::post_norm),
                           dn, s.x_mid.data(), w.post_norm, s.inv_rms_2.data(), t, h, true);
}

// x += W_o attention(rope(norm(W_q n)), rope(norm(W_k n)), W_v n), n = norm(x)
void attention_block_backward(const LayerPass& pass, const LayerCall& call, float* dx,
                              const Activations::Layer& s, const Gradients& gradients,
                              bool want_dx) {
  const auto& [context, kernels, config, w] =
      std::tie(pass.context, pass.kernels, pass.config, pass.weights);
  const int64_t t = pass.rows, h = config.hidden;

  float* dattention = pass.scratch("decoder.dattention", pass.query_width);
  const float* attention = s.attention.data();
  const float* attention_lora =
      pass.adapter_input(attention, kAttentionOutput, pass.query_width, "decoder.dropped");
  pass.linear_backward(kO, dattention, false, dx, attention, attention_lora, kAttentionOutput, s,
                       gradients);

  float* dq = pass.scratch("decoder.dq", pass.query_width);
  float* dk = pass.scratch("decoder.dk", pass.key_width);
  float* dv = pass.scratch("decoder.dv", pass.key_width);
  const std::vector<Segment>& tree = call.batch.segments;
  kernels.attention_backward(context, dq, dk, dv, dattention, attention, s.lse.data(), s.q.data(),
                             s.k.data(), s.v.data(), tree.data(), int64_t(tree.size()),
                             pass.attention_shape());
  pass.rope(dq, config.heads, true);
  pass.rope(dk, config.kv_heads, true);
  if (config.qk_norm) {
    float* dq_raw = pass.scratch("decoder.dq_raw", pass.query_width);
    float* dk_raw = pass.scratch("decoder.dk_raw", pass.key_width);
    kernels.rmsnorm_backward(
        context, dq_raw, pass.vector_gradient(gradients, &LayerOffsets::q_norm), dq, s.q_raw.data(),
        w.q_norm, s.inv_rms_q.data(), t * config.heads, config.head_dim, false);
    kernels.rmsnorm_backward(
        context, dk_raw, pass.vector_gradient(gradients, &LayerOffsets::k_norm), dk, s.k_raw.data(),
        w.k_norm, s.inv_rms_k.data(), t * config.kv_heads, config.head_dim, false);
    dq = dq_raw;
    dk = dk_raw;
  }

  float* n = pass.scratch("decoder.n", h);
  float* dn = want_dx ? pass.scratch("decoder.dn", h) : nullptr;
  pass.norm(n, nullptr, s.x.data(), w.input_norm);
  const float* n_lora = pass.adapter_input(n, kAttentionNorm, h, "decoder.dropped");
  pass.linear_backward(kQ, dn, false, dq, n, n_lora, kAttentionNorm, s, gradients);
  pass.linear_backward(kK, dn, true, dk, n, n_lora, kAttentionNorm, s, gradients);
  pass.linear_backward(kV, dn, true, dv, n, n_lora, kAttentionNorm, s, gradients);
  if (!want_dx) return;
  kernels.rmsnorm_backward(context, dx, pass.vector_gradient(gradients, &LayerOffsets::input_norm),
                           dn, s.x.data(), w.input_norm, s.inv_rms_1.data(), t, h, true);
}

}  // namespace

void layer_backward(const LayerCall& call, float* dx, const Activations::Layer& saved,
                    const Gradients& gradients, bool want_dx) {
  const LayerPass pass(call);
  mlp_backward(pass, dx, saved, gradients);
  attention_block_backward(pass, call, dx, saved, gradients, want_dx);
}

}  // namespace reasonrec
