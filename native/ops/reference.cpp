// The ops once more as plain loops in fp64: the specification in code, and the oracle of every
// kernel and of every gradient (by central differences). Nothing here is fast and nothing shares
// code with the kernels.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/head_loss.h"
#include "ops/layernorm.h"
#include "ops/relu.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"

namespace reasonrec::reference {

void rmsnorm(double* y, const double* x, const double* w, int64_t t, int64_t h, double eps) {
  for (int64_t row = 0; row < t; ++row) {
    double sum = 0;
    for (int64_t j = 0; j < h; ++j) sum += x[row * h + j] * x[row * h + j];
    const double r = 1 / std::sqrt(sum / double(h) + eps);
    for (int64_t j = 0; j < h; ++j) y[row * h + j] = x[row * h + j] * r * w[j];
  }
}

void layernorm(double* y, const double* x, const double* w, const double* b, int64_t t, int64_t h,
               double eps) {
  for (int64_t row = 0; row < t; ++row) {
    const double* in = x + row * h;
    double mean = 0, squares = 0;
    for (int64_t j = 0; j < h; ++j) mean += in[j] / double(h);
    for (int64_t j = 0; j < h; ++j) squares += (in[j] - mean) * (in[j] - mean);
    const double r = 1 / std::sqrt(squares / double(h) + eps);
    for (int64_t j = 0; j < h; ++j) y[row * h + j] = (in[j] - mean) * r * w[j] + b[j];
  }
}

void relu(double* y, const double* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] > 0 ? x[i] : 0;
}

void rope(double* x, const int32_t* positions, const double* cos, const double* sin, int64_t t,
          int heads, int head_dim) {
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < t * heads; ++i) {
    const int64_t angle = positions[i / heads] * half;
    for (int64_t j = 0; j < half; ++j) {
      double &low = x[i * head_dim + j], &high = x[i * head_dim + j + half];
      const double a = low, b = high;
      low = a * cos[angle + j] - b * sin[angle + j];
      high = b * cos[angle + j] + a * sin[angle + j];
    }
  }
}

void swiglu(double* y, const double* gate, const double* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

void embedding(double* y, const int32_t* ids, const double* table, int64_t t, int64_t h) {
  for (int64_t row = 0; row < t; ++row)
    for (int64_t j = 0; j < h; ++j) y[row * h + j] = table[ids[row] * h + j];
}

// Rows of k and v that row i of segment s sees, in order.
static std::vector<int64_t> visible_rows(const Segment* segments, int64_t s, int64_t i) {
  std::vector<int64_t> chain;
  for (int64_t a = segments[s].parent; a >= 0; a = segments[a].parent)
    chain.insert(chain.begin(), a);
  std::vector<int64_t> rows;
  for (const int64_t a : chain)
    for (int64_t r = 0; r < segments[a].rows; ++r) rows.push_back(segments[a].row_begin + r);
  for (int64_t r = 0; r <= i; ++r) rows.push_back(segments[s].row_begin + r);
  return rows;
}

void attention(double* out, double* lse, const double* q, const double* k, const double* v,
               const Segment* segments, int64_t count, const AttentionShape& shape) {
  const int64_t d = shape.head_dim, group = shape.heads / shape.kv_heads;
  for (int64_t s = 0; s < count; ++s)
    for (int64_t i = 0; i < segments[s].rows; ++i) {
      const std::vector<int64_t> keys = visible_rows(segments, s, i);
      for (int64_t head = 0; head < shape.heads; ++head) {
        const int64_t row = (segments[s].row_begin + i) * shape.heads + head;
        std::vector<double> p(keys.size());
        double max = -INFINITY, sum = 0;
        for (size_t n = 0; n < keys.size(); ++n) {
          const double* key = k + (keys[n] * shape.kv_heads + head / group) * d;
          for (int64_t j = 0; j < d; ++j) p[n] += q[row * d + j] * key[j];
          p[n] *= shape.scale;
          max = std::max(max, p[n]);
        }
        for (double& x : p) sum += (x = std::exp(x - max));
        if (lse) lse[row] = max + std::log(sum);
        std::fill_n(out + row * d, d, 0.0);
        for (size_t n = 0; n < keys.size(); ++n)
          for (int64_t j = 0; j < d; ++j)
            out[row * d + j] += p[n] / sum * v[(keys[n] * shape.kv_heads + head / group) * d + j];
      }
    }
}

void head_loss(double* logprob, double* entropy, double* lse, const double* hidden,
               const double* head, const int32_t* targets, AllowedTokens allowed,
               const HeadShape& shape) {
  for (int64_t row = 0; row < shape.t; ++row) {
    std::vector<int32_t> tokens;
    if (allowed.begin && allowed.begin[row] < allowed.begin[row + 1])
      tokens.assign(allowed.ids + allowed.begin[row], allowed.ids + allowed.begin[row + 1]);
    else
      for (int64_t token = 0; token < shape.v; ++token) tokens.push_back(int32_t(token));
    std::vector<double> z;
    double max = -INFINITY, sum = 0, mean = 0, target = -INFINITY;
    for (const int32_t token : tokens) {
      double dot = 0;
      for (int64_t j = 0; j < shape.h; ++j)
        dot += hidden[row * shape.h + j] * head[token * shape.h + j];
      z.push_back(dot * double(shape.inv_temperature));
      max = std::max(max, z.back());
      if (targets[row] == token) target = z.back();
    }
    for (const double x : z) sum += std::exp(x - max);
    for (const double x : z) mean += std::exp(x - max) / sum * x;
    const double log_sum = max + std::log(sum);
    if (lse) lse[row] = log_sum;
    if (logprob) logprob[row] = targets[row] < 0 ? 0 : target - log_sum;
    if (entropy) entropy[row] = log_sum - mean;
  }
}

}  // namespace reasonrec::reference
