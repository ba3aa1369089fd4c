// SASRec once more in fp64 plain loops: forward, dropout masks and both losses, from a flat buffer
// of parameters in the layout's order. The oracle of the whole network's gradient by differences.
#pragma once
#include <cmath>
#include <vector>

#include "core/philox.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/head_loss.h"
#include "ops/layernorm.h"
#include "ops/relu.h"
#include "sasrec/sasrec_network.h"

namespace reasonrec::test {

class ReferenceSasrec {
 public:
  ReferenceSasrec(const SasrecModel& model, const SasrecRows& rows, const SasrecDropout& dropout)
      : model_(model), rows_(rows), dropout_(dropout), t_(rows.rows()), d_(model.shape().width) {}

  // (T, d)
  std::vector<double> hidden(const std::vector<double>& values) const {
    const double* at = values.data();
    const auto size = size_t(t_ * d_);
    std::vector<double> x(size), places(size), n(size), y(size);
    reference::embedding(x.data(), rows_.items.data(), at + model_.item_table(), t_, d_);
    reference::embedding(places.data(), rows_.places.data(), at + model_.position_table(), t_, d_);
    for (size_t i = 0; i < size; ++i) x[i] = std::sqrt(double(d_)) * x[i] + places[i];
    drop(x, 0);
    for (size_t b = 0; b < model_.blocks().size(); ++b) {
      const SasrecBlock& block = model_.blocks()[b];
      norm(n, block.attention_norm, x, at);
      const auto q = linear(block.query, n, at), k = linear(block.key, n, at),
                 v = linear(block.value, n, at);
      reference::attention(y.data(), nullptr, q.data(), k.data(), v.data(), rows_.segments.data(),
                           int64_t(rows_.segments.size()), model_.shape().attention());
      drop(y, 1 + 2 * b);
      for (size_t i = 0; i < size; ++i) x[i] += y[i];
      norm(n, block.feed_forward_norm, x, at);
      auto inner = linear(block.inner, n, at);
      reference::relu(inner.data(), inner.data(), t_ * d_);
      y = linear(block.outer, inner, at);
      drop(y, 2 + 2 * b);
      for (size_t i = 0; i < size; ++i) x[i] += y[i];
    }
    norm(n, model_.last_norm(), x, at);
    return n;
  }

  // Summed NLL of the targets over the whole catalogue.
  double softmax_loss(const std::vector<double>& values,
                      const std::vector<int32_t>& targets) const {
    const auto h = hidden(values);
    std::vector<double> logprob(static_cast<size_t>(t_));
    reference::head_loss(logprob.data(), nullptr, nullptr, h.data(),
                         values.data() + model_.item_table(), targets.data(), {},
                         {t_, d_, model_.shape().items, 1});
    double loss = 0;
    for (const double l : logprob) loss -= l;
    return loss;
  }

 private:
  void drop(std::vector<double>& x, uint64_t stream) const {
    if (dropout_.p <= 0) return;
    for (size_t i = 0; i < x.size(); ++i) {
      const uint64_t element = uint64_t(dropout_.first_row * d_) + i;
      const auto words = philox4x32(dropout_.seed, stream, element / 4);
      const bool kept = double(words[element % 4]) >= double(dropout_.p) * 4294967296.0;
      x[i] = kept ? x[i] / (1 - double(dropout_.p)) : 0;
    }
  }
  void norm(std::vector<double>& y, const SasrecNorm& n, const std::vector<double>& x,
            const double* at) const {
    reference::layernorm(y.data(), x.data(), at + n.gain, at + n.shift, t_, d_,
                         model_.shape().norm_epsilon);
  }
  std::vector<double> linear(const SasrecLinear& l, const std::vector<double>& x,
                             const double* at) const {
    std::vector<double> y(size_t(t_ * d_));
    reference::linear_lora(y.data(), x.data(), at + l.weight, l.bias < 0 ? nullptr : at + l.bias,
                           nullptr, nullptr, 0, 0, t_, d_, d_);
    return y;
  }

  const SasrecModel& model_;
  const SasrecRows& rows_;
  SasrecDropout dropout_;
  int64_t t_, d_;
};

}  // namespace reasonrec::test
