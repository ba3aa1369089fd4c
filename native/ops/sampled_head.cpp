// See sampled_head.h. Plain loops: a row touches a few items, so nothing is shared that a packed
// product could use, and every instruction set has the same bits.
#include "ops/sampled_head.h"

#include <algorithm>
#include <cmath>

namespace reasonrec {
namespace {

constexpr int64_t kSums = 16;
constexpr int64_t kRowsPerTask = 64, kColumnsPerTask = 16;

template <class F>
void for_each(const Context& context, int64_t tasks, F&& fn) {
  if (context.pool && tasks > 1) {
    context.pool->parallel_for(tasks, [&](int64_t task, int) { fn(task); });
    return;
  }
  for (int64_t task = 0; task < tasks; ++task) fn(task);
}

float dot(const float* a, const float* b, int64_t h) {
  float sums[kSums] = {};
  int64_t j = 0;
  for (; j + kSums <= h; j += kSums)
    for (int64_t l = 0; l < kSums; ++l) sums[l] += a[j + l] * b[j + l];
  for (int64_t l = 0; j + l < h; ++l) sums[l] += a[j + l] * b[j + l];
  for (int64_t half = kSums / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) sums[l] += sums[l + half];
  return sums[0];
}

void add_scaled(float* to, const float* from, float scale, int64_t n) {
  for (int64_t j = 0; j < n; ++j) to[j] += scale * from[j];
}

// log(1 + exp(x)), and the sigmoid.
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

}  // namespace

void sampled_head_forward(const Context& context, float* scores, const float* hidden,
                          const SampledHead& head) {
  for_each(context, (head.t + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
    const int64_t end = std::min(head.t, (task + 1) * kRowsPerTask);
    for (int64_t i = task * kRowsPerTask * head.columns; i < end * head.columns; ++i)
      scores[i] =
          dot(hidden + i / head.columns * head.h, head.table + head.ids[i] * head.h, head.h);
  });
}

double binary_loss(float* scores, const SampledHead& head, double positive_weight, double weight) {
  double loss = 0;
  for (int64_t i = 0; i < head.t * head.columns; ++i) {
    const double s = double(scores[i]);
    const bool positive = i % head.columns == 0;
    loss += positive ? positive_weight * softplus(-s) : softplus(s);
    scores[i] = float(weight * (positive ? -positive_weight * sigmoid(-s) : sigmoid(s)));
  }
  return weight * loss;
}

void sampled_head_backward(const Context& context, float* dhidden, float* dtable,
                           const float* dscores, const float* hidden, const SampledHead& head) {
  const int64_t h = head.h;
  for_each(context, (head.t + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
    const int64_t end = std::min(head.t, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) {
      float* to = dhidden + row * h;
      std::fill_n(to, h, 0.0f);
      for (int64_t i = row * head.columns; i < (row + 1) * head.columns; ++i)
        add_scaled(to, head.table + head.ids[i] * h, dscores[i], h);
    }
  });
  // Threads take columns of the table, so the order of rows needs no locks.
  for_each(context, (h + kColumnsPerTask - 1) / kColumnsPerTask, [&](int64_t task) {
    const int64_t begin = task * kColumnsPerTask, n = std::min(kColumnsPerTask, h - begin);
    for (int64_t i = 0; i < head.t * head.columns; ++i)
      add_scaled(dtable + head.ids[i] * h + begin, hidden + i / head.columns * h + begin,
                 dscores[i], n);
  });
}

namespace reference {

double sampled_head_loss(const double* hidden, const double* table, const int32_t* ids, int64_t t,
                         int64_t columns, int64_t h, double positive_weight) {
  double loss = 0;
  for (int64_t i = 0; i < t * columns; ++i) {
    double s = 0;
    for (int64_t j = 0; j < h; ++j) s += hidden[i / columns * h + j] * table[ids[i] * h + j];
    loss +=
        i % columns == 0 ? positive_weight * std::log(1 + std::exp(-s)) : std::log(1 + std::exp(s));
  }
  return loss;
}

}  // namespace reference
}  // namespace reasonrec
