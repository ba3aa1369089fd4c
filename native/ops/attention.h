// Causal attention over segment trees (backend.h): row i of a segment sees every key of its
// ancestors and its own keys up to i.  p = softmax(scale q K^T), out = p V, heads / kv_heads query
// heads per kv head. lse = log of the softmax's denominator of the scaled scores. Backward: dv =
// p^T dout, dp = dout V^T, ds = scale p (dp - rowsum(dout out)), dq = ds K, dk = ds^T q. Saved: q,
// k, v, out, lse; p is computed again.
#pragma once
#include "backend/backend.h"

namespace reasonrec {

// Appends this batch's k, v (T, kv_heads, d) to the blocks, then attends. out (T, heads, d), lse
// (T, heads) or null.
inline void attention_forward(const Context& ctx, float* out, float* lse, const float* q,
                              const float* k, const float* v, const KvBlock* blocks,
                              const Segment* segments, int64_t count, const AttentionShape& shape) {
  ctx.kernels->kv_append(ctx, blocks, segments, count, k, v, shape);
  ctx.kernels->attention_forward(ctx, out, lse, q, blocks, segments, count, shape);
}
inline void attention_backward(const Context& ctx, float* dq, float* dk, float* dv,
                               const float* dout, const float* out, const float* lse,
                               const float* q, const float* k, const float* v,
                               const Segment* segments, int64_t count,
                               const AttentionShape& shape) {
  ctx.kernels->attention_backward(ctx, dq, dk, dv, dout, out, lse, q, k, v, segments, count, shape);
}

namespace reference {
// Segments with past = 0; lse (T, heads) may be null.
void attention(double* out, double* lse, const double* q, const double* k, const double* v,
               const Segment* segments, int64_t count, const AttentionShape& shape);
}  // namespace reference
}  // namespace reasonrec
