// See linear_lora.h.
#include "ops/linear_lora.h"

#include <algorithm>
#include <string>
#include <vector>

namespace reasonrec {
namespace {

bool active(const LoraTerm& term) { return term.panels && !term.panels->a.empty(); }

// rows (T, n) as the right-hand operand of a product that sums over T.
Panels pack_rows(const Context& ctx, const char* name, const float* rows, int64_t t, int64_t n) {
  const int64_t panel = ctx.kernels->panel;
  float* memory = ctx.scratch->floats(name, (n + panel - 1) / panel * panel * t);
  ctx.kernels->pack(ctx, memory, rows, t, n, n, 1);
  return {memory, t * panel};
}

// d (m, n) += left^T right, left (T, m), right (T, n) packed; rows of T ascending.
void add_outer(const Context& ctx, float* d, const float* left, int64_t m, const Panels& right,
               int64_t n, int64_t t) {
  const GemmTerm term{left, 1, m, right, t};
  ctx.kernels->gemm(ctx, d, n, m, n, &term, 1, GemmStart::kAccumulate, nullptr);
}

void adapter_gradients(const Context& ctx, const LinearGradients& g, const LoraTerm& term,
                       const float* du, const float* dy, const Panels& x_panels, int64_t in,
                       int64_t out, int64_t t) {
  const int64_t rank = term.panels->rank;
  if (g.db)
    add_outer(ctx, g.db, dy, out, pack_rows(ctx, "kernel.lora.u_panels", term.u, t, rank), rank, t);
  if (!g.da) return;
  float* scaled = ctx.scratch->floats("kernel.lora.scaled", t * rank);
  std::copy_n(du, t * rank, scaled);
  ctx.kernels->scale(ctx, scaled, g.scale, t * rank);
  add_outer(ctx, g.da, scaled, rank, x_panels, in, t);
}

}  // namespace

void linear_lora_forward(const Context& ctx, float* y, const float* x, const float* x_lora,
                         const LinearWeight& weight, const LoraTerm* terms, int term_count,
                         int64_t t) {
  check(term_count <= kMaxLoraTerms, "RR_SHAPE_MISMATCH", "too many adapters on one linear",
        "at most " + std::to_string(kMaxLoraTerms), std::to_string(term_count));
  GemmTerm products[1 + kMaxLoraTerms];
  int count = 0;
  products[count++] = {x, weight.in, 1, weight.forward, weight.in};
  for (int i = 0; i < term_count; ++i) {
    if (!active(terms[i])) continue;
    const LoraPanels& panels = *terms[i].panels;
    const GemmTerm down{x_lora, weight.in, 1, panels.a, weight.in};
    ctx.kernels->gemm(ctx, terms[i].u, panels.rank, t, panels.rank, &down, 1, GemmStart::kZero,
                      nullptr);
    products[count++] = {terms[i].u, panels.rank, 1, panels.b, panels.rank};
  }
  ctx.kernels->gemm(ctx, y, weight.out, t, weight.out, products, count,
                    weight.bias ? GemmStart::kBias : GemmStart::kZero, weight.bias);
}

void linear_lora_backward(const Context& ctx, float* dx, float* dx_lora, bool accumulate,
                          const float* dy, const float* x, const float* x_lora,
                          const LinearWeight& weight, const LoraTerm* terms, int term_count,
                          const LinearGradients& g, int64_t t) {
  check(term_count <= kMaxLoraTerms, "RR_SHAPE_MISMATCH", "too many adapters on one linear",
        "at most " + std::to_string(kMaxLoraTerms), std::to_string(term_count));
  static const char* const kDu[kMaxLoraTerms] = {"kernel.lora.du_0", "kernel.lora.du_1"};
  const bool has_trained = g.trained >= 0 && g.trained < term_count && active(terms[g.trained]);
  Panels x_panels;
  if (has_trained && g.da) x_panels = pack_rows(ctx, "kernel.lora.x_panels", x_lora, t, weight.in);

  GemmTerm products[1 + kMaxLoraTerms];
  int count = 0;
  products[count++] = {dy, weight.out, 1, weight.backward, weight.out};
  for (int i = 0; i < term_count; ++i) {
    const bool learns = has_trained && i == g.trained;
    if (!active(terms[i]) || (!dx && !learns)) continue;
    const LoraPanels& panels = *terms[i].panels;
    float* du = ctx.scratch->floats(kDu[i], t * panels.rank);
    const GemmTerm up{dy, weight.out, 1, panels.b_t, weight.out};
    ctx.kernels->gemm(ctx, du, panels.rank, t, panels.rank, &up, 1, GemmStart::kZero, nullptr);
    products[count++] = {du, panels.rank, 1, panels.a_t, panels.rank};
    if (learns) adapter_gradients(ctx, g, terms[i], du, dy, x_panels, weight.in, weight.out, t);
  }
  if (dx) {
    const GemmStart start = accumulate ? GemmStart::kAccumulate : GemmStart::kZero;
    ctx.kernels->gemm(ctx, dx, weight.in, t, weight.in, products, dx_lora ? 1 : count, start,
                      nullptr);
    if (dx_lora)
      ctx.kernels->gemm(ctx, dx_lora, weight.in, t, weight.in, products + 1, count - 1,
                        GemmStart::kZero, nullptr);
  }
  if (g.dw) {
    const bool packed = x_panels.data && x == x_lora;
    const Panels inputs =
        packed ? x_panels : pack_rows(ctx, "kernel.lora.x_panels", x, t, weight.in);
    add_outer(ctx, g.dw, dy, weight.out, inputs, weight.in, t);
  }
  if (g.dbias) ctx.kernels->sum_rows(ctx, g.dbias, dy, t, weight.out);
}

namespace reference {

void linear_lora(double* y, const double* x, const double* w, const double* bias, const double* a,
                 const double* b, double scale, int rank, int64_t t, int64_t in, int64_t out) {
  std::vector<double> u(static_cast<size_t>(rank));
  for (int64_t row = 0; row < t; ++row) {
    for (int r = 0; r < rank; ++r) {
      u[size_t(r)] = 0;
      for (int64_t i = 0; i < in; ++i) u[size_t(r)] += scale * a[r * in + i] * x[row * in + i];
    }
    for (int64_t o = 0; o < out; ++o) {
      double sum = bias ? bias[o] : 0;
      for (int64_t i = 0; i < in; ++i) sum += w[o * in + i] * x[row * in + i];
      for (int r = 0; r < rank; ++r) sum += b[o * rank + r] * u[size_t(r)];
      y[row * out + o] = sum;
    }
  }
}

}  // namespace reference
}  // namespace reasonrec
