// Gated feed-forward (Shazeer 2020): y = silu(g) u, silu(g) = g s, s = 1 / (1 + exp(-g)).
// Backward: dg = dy u s (1 + g (1 - s)), du = dy g s. Saved: g and u (T, I).
#pragma once
#include "backend/backend.h"

namespace reasonrec {

inline void swiglu_forward(const Context& ctx, float* y, const float* gate, const float* up,
                           int64_t t, int64_t width) {
  ctx.kernels->swiglu_forward(ctx, y, gate, up, t, width);
}
inline void swiglu_backward(const Context& ctx, float* dgate, float* dup, const float* dy,
                            const float* gate, const float* up, int64_t t, int64_t width) {
  ctx.kernels->swiglu_backward(ctx, dgate, dup, dy, gate, up, t, width);
}

namespace reference {
void swiglu(double* y, const double* gate, const double* up, int64_t n);
}
}  // namespace reasonrec
