// Kernels by name once more, as the plain loops in fp64 that specify them.
#include <cmath>

#include "binding/kernel_calls.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/head_loss.h"
#include "ops/layernorm.h"
#include "ops/relu.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"

namespace reasonrec {
namespace {

using Doubles = std::vector<double>;

Doubles doubles(const float* values, int64_t n) { return {values, values + n}; }

void give(KernelCall& call, const Doubles& values) {
  call.outputs.emplace_back(values.begin(), values.end());
}

void gemm(KernelCall& call, bool lora) {
  const int64_t m = call.size("m"), n = call.size("n"), k = call.size("k"),
                r = lora ? call.size("r") : 0;
  const float *a = call.input(0, m * k), *w = call.input(1, n * k);
  const float *xa = lora ? call.input(2, m * r) : nullptr,
              *b = lora ? call.input(3, n * r) : nullptr;
  Doubles c(size_t(m * n), 0.0);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t x = 0; x < k; ++x) sum += double(a[i * k + x]) * double(w[j * k + x]);
      for (int64_t x = 0; x < r; ++x) sum += double(xa[i * r + x]) * double(b[j * r + x]);
      c[size_t(i * n + j)] = sum;
    }
  give(call, c);
}

void rows(KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h"), n = t * h;
  Doubles y(size_t(n), 0.0);
  const Doubles x = doubles(call.input(0, n), n);
  if (call.kernel == "rmsnorm")
    reference::rmsnorm(y.data(), x.data(), doubles(call.input(1, h), h).data(), t, h, 1e-6);
  if (call.kernel == "layernorm")
    reference::layernorm(y.data(), x.data(), doubles(call.input(1, h), h).data(),
                         doubles(call.input(2, h), h).data(), t, h, 1e-6);
  if (call.kernel == "relu") reference::relu(y.data(), x.data(), n);
  if (call.kernel == "swiglu")
    reference::swiglu(y.data(), x.data(), doubles(call.input(1, n), n).data(), n);
  give(call, y);
}

void rope(KernelCall& call) {
  const int64_t t = call.size("t"), heads = call.size("heads"), d = call.size("d");
  Doubles x = doubles(call.input(0, t * heads * d), t * heads * d), cos, sin;
  std::vector<int32_t> positions;
  for (int64_t p = 0; p < t; ++p) {
    positions.push_back(int32_t(p));
    for (int64_t j = 0; j < d / 2; ++j) {
      const double angle = double(p) * std::pow(10000.0, -2.0 * double(j) / double(d));
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
  }
  reference::rope(x.data(), positions.data(), cos.data(), sin.data(), t, int(heads), int(d));
  give(call, x);
}

void attention(KernelCall& call) {
  const int64_t prompt = call.size("prompt"), group = call.size("group"), rows = call.size("rows");
  const AttentionShape shape{int(call.size("heads")), int(call.size("kvHeads")),
                             int(call.size("d")), 1 / std::sqrt(float(call.size("d")))};
  const int64_t t = prompt + group * rows, wide = int64_t(shape.heads) * shape.head_dim,
                narrow = int64_t(shape.kv_heads) * shape.head_dim;
  std::vector<Segment> segments{{-1, 0, prompt, 0}};
  for (int64_t child = 0; child < group; ++child)
    segments.push_back({0, prompt + child * rows, rows, 0});
  Doubles out(size_t(t * wide), 0.0);
  reference::attention(out.data(), nullptr, doubles(call.input(0, t * wide), t * wide).data(),
                       doubles(call.input(1, t * narrow), t * narrow).data(),
                       doubles(call.input(2, t * narrow), t * narrow).data(), segments.data(),
                       int64_t(segments.size()), shape);
  give(call, {out.begin() + prompt * wide, out.end()});
}

void head(KernelCall& call) {
  const HeadShape shape{call.size("t"), call.size("h"), call.size("v"), 1};
  const Doubles hidden = doubles(call.input(0, shape.t * shape.h), shape.t * shape.h),
                weight = doubles(call.input(1, shape.v * shape.h), shape.v * shape.h);
  const float* given = call.input(2, shape.t);
  const std::vector<int32_t> targets(given, given + shape.t);
  Doubles logprob(size_t(shape.t), 0.0), entropy = logprob, lse = logprob;
  reference::head_loss(logprob.data(), entropy.data(), lse.data(), hidden.data(), weight.data(),
                       targets.data(), {}, shape);
  give(call, logprob);
  give(call, lse);
  give(call, entropy);
}

}  // namespace

bool run_reference(KernelCall& call) {
  const std::string& name = call.kernel;
  if (name == "gemm") return gemm(call, false), true;
  if (name == "gemm_lora" || name == "gemm_lora_composed") return gemm(call, true), true;
  if (name == "rmsnorm" || name == "layernorm" || name == "relu" || name == "swiglu")
    return rows(call), true;
  if (name == "rope") return rope(call), true;
  if (name == "attention" || name == "attention_unshared") return attention(call), true;
  if (name == "head" || name == "head_logits") return head(call), true;
  return false;
}

}  // namespace reasonrec
