// THE contract of a device: a flat table of kernels. What a new device must supply is on this page;
// there is no graph, no tape and no tensor library behind it.
//
// Shapes: T rows (tokens), H width, I feed-forward width, V vocabulary, h heads, d head dimension.
// All arrays are fp32, row-major, contiguous unless a stride is named; a model's weights may be
// stored in bf16 (Panels, Table). Outputs come first.
//
// The identity that everything rests on: an output element is a sum whose ORDER depends on nothing
// but its own row: products add along K from 0 to K-1 into one accumulator per element, whatever M
// is, whatever shares the batch, and whichever thread runs it; reductions over a row have one fixed
// lane order. So a token's log-prob has the same bits when sampled and when trained, within one
// instruction set.
#pragma once
#include <cstdint>
#include <vector>

#include "core/job.h"
#include "core/thread_pool.h"
#include "core/workspace.h"

namespace reasonrec {

struct Kernels;

struct Context {
  const Kernels* kernels = nullptr;
  ThreadPool* pool = nullptr;
  Workspace* scratch = nullptr;  // kernels' own temporaries, names begin with "kernel."
  const Job* job = nullptr;      // polled between layers; null: cannot be cancelled there
  Context polling(const Job& by) const { return {kernels, pool, scratch, &by}; }
};

// How a product with stored weights is computed. kF32: both sides in fp32 (bf16 weights are
// widened, which loses nothing: the bits are those of fp32 panels of the same values). kBF16: the
// left side is rounded to bf16 too. Sums are fp32 in either, and each has one order.
enum class Compute { kF32, kBF16 };

// A right-hand operand B (K, N), one of three ways (a further storage type is a further pointer).
// In panels of `Kernels::panel` columns, fp32 or bf16:
//   fp32:  B[k][n] = data[(n / panel) * panel_stride + k * panel + n % panel]
//   bf16:  rows in pairs, so that a word of 32 bits holds two values of one column:
//          B[k][n] = bf16[(n / panel) * panel_stride + (k / 2) * 2 panel + 2 (n % panel) + k % 2];
//          an odd K has a row of zeros after it
// Or as a checkpoint holds it, unpacked: bf16 rows (N, K), B[k][n] = rows[n * K + k]. Kernels pack
// a block of these when they need it, which is for weights that are used once or twice. The last
// panel is padded with zeros. A range of k (from an even k0 in bf16) begins k0 * panel values
// later, a range of n that starts at a multiple of panel (n0 / panel) * panel_stride values later:
// shifted().
struct Panels {
  const float* data = nullptr;
  int64_t panel_stride = 0;  // values from one panel to the next; rows x panel for a whole matrix
  const uint16_t* bf16 = nullptr;
  const uint16_t* rows = nullptr;
  int64_t begin = 0;                // rows: where B begins, in values of panels
  Compute compute = Compute::kF32;  // kBF16 only where B is bf16

  bool empty() const { return !data && !bf16 && !rows; }
  Panels shifted(int64_t values) const {
    return {data ? data + values : nullptr,
            panel_stride,
            bf16 ? bf16 + values : nullptr,
            rows,
            begin + values,
            compute};
  }
};

// A table (V, H) whose rows are read by id: row-major in fp32 or bf16, or the columns of the head's
// panels (H, V) where the head is tied to it. One of the three is set.
struct Table {
  const float* data = nullptr;
  const uint16_t* bf16 = nullptr;
  Panels columns;
};

// One product of a sum of products: C += A (M, k) x B (k, N).
struct GemmTerm {
  const float* a = nullptr;
  int64_t row_stride = 0, col_stride = 1;  // A[m][k] = a[m * row_stride + k * col_stride]
  Panels b;
  int64_t k = 0;
  const uint16_t* a_bf16 = nullptr;  // set by kernels: A rounded, rows of pairs at row_stride
};

enum class GemmStart {
  kZero,
  kBias,
  kAccumulate
};  // what the accumulators hold before the first product

// A run of tokens that attend causally to one another and, as a whole, to every ancestor:
// prompt -> completions (a group), prompt -> reasoning -> candidate titles. Parents come first.
struct Segment {
  int32_t parent = -1;    // index into the tree, -1 for none
  int64_t row_begin = 0;  // first row of this segment in the packed batch
  int64_t rows = 0;       // new rows in this batch (may be 0: keys only)
  int64_t past = 0;       // keys the segment already holds from earlier batches
};

// Keys and values of one segment in one layer, in the panels attention multiplies by.
// Per kv head: k = panels of (d, panel) over keys, capacity / panel of them;
//              v = ceil(d / panel) panels of (capacity, panel). capacity is a multiple of panel.
// Everything beyond the stored keys is finite (zero): masked terms add exactly nothing.
struct KvBlock {
  float* k = nullptr;  // kv_heads x (capacity / panel) x d x panel
  float* v = nullptr;  // kv_heads x ceil(d / panel) x capacity x panel
  int64_t capacity = 0;
};

struct AttentionShape {
  int heads = 0, kv_heads = 0, head_dim = 0;  // heads % kv_heads == 0
  float scale = 0;                            // 1 / sqrt(head_dim)
};

// Tokens that may be predicted at a row, ids ascending; an empty range means the whole vocabulary.
struct AllowedTokens {
  const int64_t* begin = nullptr;  // T + 1
  const int32_t* ids = nullptr;
};

struct Kernels {
  const char* name;  // "scalar", "avx2", "avx512", "avx512bf16"
  int panel;         // columns per panel

  // ---- products ---------------------------------------------------------------------------------
  // Packs b (k, n), b[i][j] = b[i * k_stride + j * n_stride], into panels (ceil(n / panel), k,
  // panel).
  void (*pack)(const Context&, float* panels, const float* b, int64_t k, int64_t n,
               int64_t k_stride, int64_t n_stride);
  // The same into bf16 panels, values rounded to the nearest (ties to even).
  void (*pack_bf16)(const Context&, uint16_t* panels, const float* b, int64_t k, int64_t n,
                    int64_t k_stride, int64_t n_stride);
  // bf16 rows (n, k) into bf16 panels, as they are.
  void (*pack_rows)(const Context&, uint16_t* panels, const uint16_t* rows, int64_t k, int64_t n);
  // C (M, N), row stride ldc = start + sum over terms of A x B, terms in order, k ascending. bias:
  // (N).
  void (*gemm)(const Context&, float* c, int64_t ldc, int64_t m, int64_t n, const GemmTerm* terms,
               int term_count, GemmStart start, const float* bias);

  // ---- rows -------------------------------------------------------------------------------------
  // y = x * inv_rms * w, inv_rms = 1 / sqrt(mean(x^2) + eps). inv_rms: (T), may be null.
  void (*rmsnorm_forward)(const Context&, float* y, float* inv_rms, const float* x, const float* w,
                          int64_t t, int64_t h, float eps);
  // dx (+= if accumulate) and dw (+=, may be null), rows added in ascending order.
  void (*rmsnorm_backward)(const Context&, float* dx, float* dw, const float* dy, const float* x,
                           const float* w, const float* inv_rms, int64_t t, int64_t h,
                           bool accumulate);
  // y = (x - mean) * inv_std * w + b, inv_std = 1 / sqrt(mean((x - mean)^2) + eps). mean, inv_std:
  // (T), may be null.
  void (*layernorm_forward)(const Context&, float* y, float* mean, float* inv_std, const float* x,
                            const float* w, const float* b, int64_t t, int64_t h, float eps);
  // dx (+= if accumulate), dw and db (+=, both or neither null), rows added in ascending order.
  void (*layernorm_backward)(const Context&, float* dx, float* dw, float* db, const float* dy,
                             const float* x, const float* w, const float* mean,
                             const float* inv_std, int64_t t, int64_t h, bool accumulate);
  // y = max(x, 0); dx = dy where y > 0, else 0. In place allowed.
  void (*relu_forward)(const Context&, float* y, const float* x, int64_t n);
  void (*relu_backward)(const Context&, float* dx, const float* dy, const float* y, int64_t n);
  // Rotates pairs (j, j + d/2) of x (T, heads, d) in place by the angle of positions[t]; inverse
  // turns back. cos, sin: (max_position, d / 2).
  void (*rope)(const Context&, float* x, const int32_t* positions, const float* cos,
               const float* sin, int64_t t, int heads, int head_dim, bool inverse);
  // y = silu(gate) * up, n elements in rows of `width`.
  void (*swiglu_forward)(const Context&, float* y, const float* gate, const float* up, int64_t t,
                         int64_t width);
  void (*swiglu_backward)(const Context&, float* dgate, float* dup, const float* dy,
                          const float* gate, const float* up, int64_t t, int64_t width);
  void (*add)(const Context&, float* y, const float* x, int64_t n);  // y += x
  void (*scale)(const Context&, float* y, float s, int64_t n);       // y *= s
  void (*sum_rows)(const Context&, float* sum, const float* x, int64_t t,
                   int64_t n);  // sum (n) += rows, ascending
  // y = x * mask / (1 - p), mask by Philox(seed, stream, index of the element / 4); in place
  // allowed.
  void (*dropout)(const Context&, float* y, const float* x, int64_t first_element, int64_t n,
                  float p, uint64_t seed, uint64_t stream);

  // ---- embedding --------------------------------------------------------------------------------
  void (*embedding_forward)(const Context&, float* y, const int32_t* ids, const Table& table,
                            int64_t t, int64_t h);
  // dtable (V, H) += dy rows, ascending t for every id.
  void (*embedding_backward)(const Context&, float* dtable, const int32_t* ids, const float* dy,
                             int64_t t, int64_t h);

  // ---- attention over segment trees -------------------------------------------------------------
  // Writes keys [past, past + rows) of every segment from k, v (T, kv_heads, d).
  void (*kv_append)(const Context&, const KvBlock* blocks, const Segment* segments, int64_t count,
                    const float* k, const float* v, const AttentionShape&);
  // out (T, heads, d); lse (T, heads), may be null: log of the softmax denominator of the scaled
  // scores. Row i of segment s sees all past + rows keys of every ancestor (root first) and keys
  // [0, past + i] of s.
  void (*attention_forward)(const Context&, float* out, float* lse, const float* q,
                            const KvBlock* blocks, const Segment* segments, int64_t count,
                            const AttentionShape&);
  // Overwrites dq (T, heads, d), dk, dv (T, kv_heads, d). Segments have past = 0.
  void (*attention_backward)(const Context&, float* dq, float* dk, float* dv, const float* dout,
                             const float* out, const float* lse, const float* q, const float* k,
                             const float* v, const Segment* segments, int64_t count,
                             const AttentionShape&);

  // ---- head -------------------------------------------------------------------------------------
  // z = hidden (T, H) x head^T * inv_temperature, in vocabulary tiles that are never stored whole.
  //   lse (T)      = log sum exp z over the allowed tokens
  //   logprob (T)  = z[target] - lse, one fp32 subtraction of the stored lse; 0 where target < 0,
  //                  -inf where the target is not allowed           (may be null)
  //   entropy (T)  = lse - sum p z                                  (may be null)
  //   logits (T, V) = raw hidden x head^T before temperature        (null in training; decoding's
  //   live rows)
  void (*head_forward)(const Context&, float* logprob, float* entropy, float* lse, float* logits,
                       const float* hidden, Panels head, const int32_t* targets,
                       AllowedTokens allowed, float inv_temperature, int64_t t, int64_t h,
                       int64_t v);
  // dhidden (T, H) overwritten, dhead (V, H) += (may be null), from dlogprob (T) and dentropy (T,
  // may be null). head: panels of (H, V) as in forward; head_t: panels of (V, H), for dhidden.
  void (*head_backward)(const Context&, float* dhidden, float* dhead, const float* dlogprob,
                        const float* dentropy, const float* hidden, const float* lse,
                        const float* entropy, Panels head, Panels head_t, const int32_t* targets,
                        AllowedTokens allowed, float inv_temperature, int64_t t, int64_t h,
                        int64_t v);

  // ---- optimiser --------------------------------------------------------------------------------
  double (*sum_of_squares)(const Context&, const float* x, int64_t n);  // fixed blocks, fixed order
  // Decoupled weight decay (Loshchilov & Hutter 2019), torch's form: w -= lr * (wd * w + mhat /
  // (sqrt(vhat) + eps)), g scaled by grad_scale first. step counts from 1.
  void (*adamw)(const Context&, float* w, float* m, float* v, const float* g, int64_t n, float lr,
                float beta1, float beta2, float eps, float weight_decay, float grad_scale,
                int64_t step);
};

// The instruction sets compiled in that this machine can run, best last. "scalar" is always there.
const std::vector<const Kernels*>& cpu_kernels();
// REASONREC_ISA, else the best. Throws RR_ISA_UNAVAILABLE for a name that is unknown or cannot run
// here.
const Kernels& select_cpu_kernels();

}  // namespace reasonrec
