// Rotary position embedding (Su et al. 2021), half-split layout: the pair (x[j], x[j + d/2]) turns
// by position * theta^(-2j / d), tables given. The backward is the same rotation with the angle
// negated.
#pragma once
#include "backend/backend.h"

namespace reasonrec {

// x (T, heads, d) in place; cos, sin (max_position, d / 2).
inline void rope_forward(const Context& ctx, float* x, const int32_t* positions, const float* cos,
                         const float* sin, int64_t t, int heads, int head_dim) {
  ctx.kernels->rope(ctx, x, positions, cos, sin, t, heads, head_dim, false);
}
inline void rope_backward(const Context& ctx, float* dx, const int32_t* positions, const float* cos,
                          const float* sin, int64_t t, int heads, int head_dim) {
  ctx.kernels->rope(ctx, dx, positions, cos, sin, t, heads, head_dim, true);
}

namespace reference {
void rope(double* x, const int32_t* positions, const double* cos, const double* sin, int64_t t,
          int heads, int head_dim);
}
}  // namespace reasonrec
