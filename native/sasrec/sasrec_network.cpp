// Forward and backward of each part side by side; see sasrec_network.h for the formulas.
#include "sasrec/sasrec_network.h"

#include <algorithm>
#include <cmath>

#include "ops/attention.h"
#include "ops/attention_blocks.h"
#include "ops/embedding.h"
#include "ops/layernorm.h"
#include "ops/relu.h"

namespace reasonrec {

void SasrecRows::append(const SasrecModel& model, const int32_t* sequence, int64_t count) {
  const int64_t n = model.shape().positions, kept = std::min(n, count);
  segments.push_back({-1, rows(), kept, 0});
  items.insert(items.end(), sequence + count - kept, sequence + count);
  for (int64_t i = 0; i < kept; ++i) places.push_back(int32_t(n - kept + i));
}

namespace {

class Pass {
 public:
  Pass(const Context& c, const SasrecModel& m, const SasrecRows& r, const SasrecDropout& d)
      : context(c), model(m), batch(r), t(r.rows()), d(m.shape().width), dropout(d) {}

  const Context& context;
  const SasrecModel& model;
  const SasrecRows& batch;
  const int64_t t, d;
  const SasrecDropout& dropout;

  float* scratch(const char* name) const { return context.scratch->floats(name, t * d); }
  static float* keep(Buffer& buffer, int64_t n) {
    buffer.resize(n);
    return buffer.data();
  }
  void keep_rows(Buffer& buffer, const float* x) const {
    std::copy_n(x, t * d, keep(buffer, t * d));
  }

  // y = drop(x), the same for a gradient; in place allowed.
  void drop(float* y, const float* x, uint64_t stream) const {
    if (dropout.p > 0)
      context.kernels->dropout(context, y, x, dropout.first_row * d, t * d, dropout.p, dropout.seed,
                               stream);
    else if (y != x)
      std::copy_n(x, t * d, y);
  }

  void norm(float* y, const SasrecNorm& n, const float* x, float* mean, float* inv_std) const {
    layernorm_forward(context, y, mean, inv_std, x, model.at(n.gain), model.at(n.shift), t, d,
                      model.shape().norm_epsilon);
  }
  void norm_backward(float* dx, const SasrecNorm& n, float* gradients, const float* dy,
                     const Buffer& x, const Buffer& mean, const Buffer& inv_std,
                     bool accumulate) const {
    layernorm_backward(context, dx, gradients + n.gain, gradients + n.shift, dy, x.data(),
                       model.at(n.gain), mean.data(), inv_std.data(), t, d, accumulate);
  }

  void linear(float* y, const SasrecLinear& l, const float* x) const {
    linear_lora_forward(context, y, x, x, model.weight(l), nullptr, 0, t);
  }
  void linear_backward(float* dx, bool accumulate, const SasrecLinear& l, float* gradients,
                       const float* dy, const float* x) const {
    LinearGradients into;
    into.dw = gradients + l.weight;
    if (l.bias >= 0) into.dbias = gradients + l.bias;
    linear_lora_backward(context, dx, nullptr, accumulate, dy, x, x, model.weight(l), nullptr, 0,
                         into, t);
  }
};

// x += drop(attention(W_q n, W_k n, W_v n)), n = norm_1(x)
void attention_block_forward(const Pass& p, const SasrecBlock& block, float* x,
                             SasrecActivations::Block& s, const std::vector<KvBlock>& kv,
                             uint64_t stream) {
  const AttentionShape shape = p.model.shape().attention();
  float* n = p.scratch("sasrec.n");
  p.keep_rows(s.x, x);
  p.norm(n, block.attention_norm, x, Pass::keep(s.mean_1, p.t), Pass::keep(s.inv_std_1, p.t));
  float* q = Pass::keep(s.q, p.t * p.d);
  float* k = Pass::keep(s.k, p.t * p.d);
  float* v = Pass::keep(s.v, p.t * p.d);
  p.linear(q, block.query, n);
  p.linear(k, block.key, n);
  p.linear(v, block.value, n);
  float* out = Pass::keep(s.attention, p.t * p.d);
  attention_forward(p.context, out, Pass::keep(s.lse, p.t * shape.heads), q, k, v, kv.data(),
                    p.batch.segments.data(), int64_t(p.batch.segments.size()), shape);
  float* y = p.scratch("sasrec.y");
  p.drop(y, out, stream);
  p.context.kernels->add(p.context, x, y, p.t * p.d);
}

void attention_block_backward(const Pass& p, const SasrecBlock& block, float* dx, float* gradients,
                              const SasrecActivations::Block& s, uint64_t stream) {
  const std::vector<Segment>& segments = p.batch.segments;
  float *dout = p.scratch("sasrec.dy"), *dq = p.scratch("sasrec.dq"), *dk = p.scratch("sasrec.dk"),
        *dv = p.scratch("sasrec.dv"), *n = p.scratch("sasrec.n"), *dn = p.scratch("sasrec.dn");
  p.drop(dout, dx, stream);
  attention_backward(p.context, dq, dk, dv, dout, s.attention.data(), s.lse.data(), s.q.data(),
                     s.k.data(), s.v.data(), segments.data(), int64_t(segments.size()),
                     p.model.shape().attention());
  p.norm(n, block.attention_norm, s.x.data(), nullptr, nullptr);
  p.linear_backward(dn, false, block.query, gradients, dq, n);
  p.linear_backward(dn, true, block.key, gradients, dk, n);
  p.linear_backward(dn, true, block.value, gradients, dv, n);
  p.norm_backward(dx, block.attention_norm, gradients, dn, s.x, s.mean_1, s.inv_std_1, true);
}

// x += drop(W_2 relu(W_1 n + b_1) + b_2), n = norm_2(x)
void feed_forward_forward(const Pass& p, const SasrecBlock& block, float* x,
                          SasrecActivations::Block& s, uint64_t stream) {
  float *n = p.scratch("sasrec.n"), *y = p.scratch("sasrec.y");
  p.keep_rows(s.x_mid, x);
  p.norm(n, block.feed_forward_norm, x, Pass::keep(s.mean_2, p.t), Pass::keep(s.inv_std_2, p.t));
  float* inner = Pass::keep(s.relu, p.t * p.d);
  p.linear(inner, block.inner, n);
  relu_forward(p.context, inner, inner, p.t * p.d);
  p.linear(y, block.outer, inner);
  p.drop(y, y, stream);
  p.context.kernels->add(p.context, x, y, p.t * p.d);
}

void feed_forward_backward(const Pass& p, const SasrecBlock& block, float* dx, float* gradients,
                           const SasrecActivations::Block& s, uint64_t stream) {
  float *dy = p.scratch("sasrec.dy"), *dinner = p.scratch("sasrec.dinner"),
        *n = p.scratch("sasrec.n"), *dn = p.scratch("sasrec.dn");
  p.drop(dy, dx, stream);
  p.linear_backward(dinner, false, block.outer, gradients, dy, s.relu.data());
  relu_backward(p.context, dinner, dinner, s.relu.data(), p.t * p.d);
  p.norm(n, block.feed_forward_norm, s.x_mid.data(), nullptr, nullptr);
  p.linear_backward(dn, false, block.inner, gradients, dinner, n);
  p.norm_backward(dx, block.feed_forward_norm, gradients, dn, s.x_mid, s.mean_2, s.inv_std_2, true);
}

// x = drop(sqrt(d) E[item] + P[place])
void input_forward(const Pass& p, float* x) {
  float* places = p.scratch("sasrec.y");
  const Table items{p.model.at(p.model.item_table()), nullptr, {}},
      positions{p.model.at(p.model.position_table()), nullptr, {}};
  embedding_forward(p.context, x, p.batch.items.data(), items, p.t, p.d);
  embedding_forward(p.context, places, p.batch.places.data(), positions, p.t, p.d);
  p.context.kernels->scale(p.context, x, std::sqrt(float(p.d)), p.t * p.d);
  p.context.kernels->add(p.context, x, places, p.t * p.d);
  p.drop(x, x, 0);
}

void input_backward(const Pass& p, float* dx, float* gradients) {
  p.drop(dx, dx, 0);
  embedding_backward(p.context, gradients + p.model.position_table(), p.batch.places.data(), dx,
                     p.t, p.d);
  p.context.kernels->scale(p.context, dx, std::sqrt(float(p.d)), p.t * p.d);
  embedding_backward(p.context, gradients + p.model.item_table(), p.batch.items.data(), dx, p.t,
                     p.d);
}

}  // namespace

void sasrec_forward(const Context& context, const SasrecModel& model, const SasrecRows& rows,
                    float* hidden, SasrecActivations& saved) {
  const Pass p(context, model, rows, saved.dropout);
  const std::vector<KvBlock> kv =
      lend_blocks(context, "sasrec.kv", model.shape().attention(), rows.segments);
  saved.blocks.resize(model.blocks().size());
  float* x = p.scratch("sasrec.x");
  input_forward(p, x);
  for (size_t b = 0; b < model.blocks().size(); ++b) {
    if (context.job) context.job->poll();
    const SasrecBlock& block = model.blocks()[b];
    attention_block_forward(p, block, x, saved.blocks[b], kv, 1 + 2 * b);
    feed_forward_forward(p, block, x, saved.blocks[b], 2 + 2 * b);
  }
  p.keep_rows(saved.x_last, x);
  p.norm(hidden, model.last_norm(), x, Pass::keep(saved.mean_last, p.t),
         Pass::keep(saved.inv_std_last, p.t));
}

void sasrec_backward(const Context& context, const SasrecModel& model, const SasrecRows& rows,
                     float* gradients, const float* dhidden, const SasrecActivations& saved) {
  const Pass p(context, model, rows, saved.dropout);
  float* dx = p.scratch("sasrec.dx");
  p.norm_backward(dx, model.last_norm(), gradients, dhidden, saved.x_last, saved.mean_last,
                  saved.inv_std_last, false);
  for (size_t b = model.blocks().size(); b-- > 0;) {
    if (context.job) context.job->poll();
    const SasrecBlock& block = model.blocks()[b];
    feed_forward_backward(p, block, dx, gradients, saved.blocks[b], 2 + 2 * b);
    attention_block_backward(p, block, dx, gradients, saved.blocks[b], 1 + 2 * b);
  }
  input_backward(p, dx, gradients);
}

}  // namespace reasonrec
