// A decoder in plain fp64 loops, one sequence at a time, written from the formulas and not from the
// engine: the oracle of the engine's log-probs and, by central differences, of its gradients.
// Tensors are looked up by checkpoint name; absent biases and head norms are absent in the model.
#pragma once
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/lora.h"

namespace reasonrec::test {

using Doubles = std::vector<double>;
using Tensors = std::map<std::string, Doubles>;

inline Tensors tensors_of(const ParameterLayout& layout, const float* values) {
  Tensors out;
  for (const Parameter& p : layout.entries)
    out[p.name] = Doubles(values + p.offset, values + p.offset + p.size());
  return out;
}

struct ReferenceAdapter {
  int rank = 0;
  double scale = 1;
  Tensors tensors;
  explicit ReferenceAdapter(const Adapter& a)
      : rank(a.config().rank),
        scale(a.config().scale()),
        tensors(tensors_of(a.layout(), a.values())) {}
};

struct ReferenceDecoder {
  ModelConfig config;
  Tensors tensors;
  std::vector<ReferenceAdapter> adapters;
  // Multiplier of the adapters' input (layer * 4 + input, element), dropout's mask; null: 1
  // everywhere.
  std::function<double(int stream, int64_t element)> mask;

  // out[i] = log p(ids[i + 1] | ids[0..i])
  Doubles logprobs(const std::vector<int32_t>& ids) const {
    const int64_t t = int64_t(ids.size()), h = config.hidden;
    const Doubles& table = tensors.at("model.embed_tokens.weight");
    Doubles x;
    for (const int32_t id : ids)
      x.insert(x.end(), table.begin() + id * h, table.begin() + (id + 1) * h);
    for (int64_t l = 0; l < config.layers; ++l) layer(x, t, l);
    x = norm(x, h, tensors.at("model.norm.weight"));
    const Doubles& head = config.tied_head ? table : tensors.at("lm_head.weight");
    Doubles out;
    for (int64_t i = 0; i + 1 < t; ++i) {
      Doubles z(size_t(config.vocab));
      for (int64_t v = 0; v < config.vocab; ++v)
        for (int64_t k = 0; k < h; ++k)
          z[size_t(v)] += x[size_t(i * h + k)] * head[size_t(v * h + k)];
      double sum = 0;
      for (const double s : z) sum += std::exp(s);
      out.push_back(z[size_t(ids[size_t(i) + 1])] - std::log(sum));
    }
    return out;
  }

 private:
  Doubles norm(const Doubles& x, int64_t width, const Doubles& w) const {
    Doubles y(x.size());
    for (size_t row = 0; row < x.size(); row += size_t(width)) {
      double squares = 0;
      for (int64_t k = 0; k < width; ++k) squares += x[row + size_t(k)] * x[row + size_t(k)];
      const double inverse = 1 / std::sqrt(squares / double(width) + double(config.rms_eps));
      for (int64_t k = 0; k < width; ++k)
        y[row + size_t(k)] = x[row + size_t(k)] * inverse * w[size_t(k)];
    }
    return y;
  }

  // y += s * x w^T with w (out, in)
  static void multiply(Doubles& y, const Doubles& x, const Doubles& w, int64_t t, int64_t in,
                       int64_t out, double s) {
    for (int64_t i = 0; i < t; ++i)
      for (int64_t o = 0; o < out; ++o) {
        double sum = 0;
        for (int64_t k = 0; k < in; ++k) sum += x[size_t(i * in + k)] * w[size_t(o * in + k)];
        y[size_t(i * out + o)] += s * sum;
      }
  }

  Doubles linear(const Doubles& x, int64_t t, int64_t l, Linear which, int input) const {
    const std::string name = "model.layers." + std::to_string(l) +
                             (which <= kO ? ".self_attn." : ".mlp.") + kLinearNames[which];
    const int64_t in = linear_in(config, which), out = linear_out(config, which);
    Doubles y(size_t(t * out));
    multiply(y, x, tensors.at(name + ".weight"), t, in, out, 1);
    if (const auto bias = tensors.find(name + ".bias"); bias != tensors.end())
      for (size_t i = 0; i < y.size(); ++i) y[i] += bias->second[i % size_t(out)];
    Doubles masked = x;
    if (mask)
      for (size_t i = 0; i < x.size(); ++i) masked[i] *= mask(int(l) * 4 + input, int64_t(i));
    for (const ReferenceAdapter& a : adapters) {
      const auto found = a.tensors.find("base_model.model." + name + ".lora_A.weight");
      if (found == a.tensors.end()) continue;
      Doubles u(size_t(t * a.rank));
      multiply(u, masked, found->second, t, in, a.rank, 1);
      multiply(y, u, a.tensors.at("base_model.model." + name + ".lora_B.weight"), t, a.rank, out,
               a.scale);
    }
    return y;
  }

  void rope(Doubles& x, int64_t t, int heads) const {
    const std::vector<double> f = rope_frequencies(config);
    const int d = config.head_dim;
    for (int64_t i = 0; i < t; ++i)
      for (int head = 0; head < heads; ++head)
        for (int j = 0; j < d / 2; ++j) {
          double& a = x[size_t((i * heads + head) * d + j)];
          double& b = x[size_t((i * heads + head) * d + j + d / 2)];
          const double c = std::cos(double(i) * f[size_t(j)]),
                       s = std::sin(double(i) * f[size_t(j)]), a0 = a;
          a = a0 * c - b * s;
          b = b * c + a0 * s;
        }
  }

  Doubles attention(const Doubles& q, const Doubles& k, const Doubles& v, int64_t t) const {
    const int heads = config.heads, kv = config.kv_heads, d = config.head_dim;
    Doubles out(q.size());
    for (int64_t i = 0; i < t; ++i)
      for (int head = 0; head < heads; ++head) {
        const int g = head / (heads / kv);
        Doubles p(size_t(i) + 1);
        double sum = 0;
        for (int64_t j = 0; j <= i; ++j) {
          double score = 0;
          for (int e = 0; e < d; ++e)
            score += q[size_t((i * heads + head) * d + e)] * k[size_t((j * kv + g) * d + e)];
          sum += p[size_t(j)] = std::exp(score / std::sqrt(double(d)));
        }
        for (int64_t j = 0; j <= i; ++j)
          for (int e = 0; e < d; ++e)
            out[size_t((i * heads + head) * d + e)] +=
                p[size_t(j)] / sum * v[size_t((j * kv + g) * d + e)];
      }
    return out;
  }

  static void add(Doubles& x, const Doubles& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  void layer(Doubles& x, int64_t t, int64_t l) const {
    const std::string name = "model.layers." + std::to_string(l) + ".";
    Doubles n = norm(x, config.hidden, tensors.at(name + "input_layernorm.weight"));
    Doubles q = linear(n, t, l, kQ, 0), k = linear(n, t, l, kK, 0);
    const Doubles v = linear(n, t, l, kV, 0);
    if (config.qk_norm) {
      q = norm(q, config.head_dim, tensors.at(name + "self_attn.q_norm.weight"));
      k = norm(k, config.head_dim, tensors.at(name + "self_attn.k_norm.weight"));
    }
    rope(q, t, config.heads);
    rope(k, t, config.kv_heads);
    add(x, linear(attention(q, k, v, t), t, l, kO, 1));
    n = norm(x, config.hidden, tensors.at(name + "post_attention_layernorm.weight"));
    Doubles gate = linear(n, t, l, kGate, 2);
    const Doubles up = linear(n, t, l, kUp, 2);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    add(x, linear(gate, t, l, kDown, 3));
  }
};

}  // namespace reasonrec::test
