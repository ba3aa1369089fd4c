// Rectifier: y = max(x, 0). Backward: dx = dy where y > 0, else 0. Saved: y.
#pragma once
#include "backend/backend.h"

namespace reasonrec {

inline void relu_forward(const Context& ctx, float* y, const float* x, int64_t n) {
  ctx.kernels->relu_forward(ctx, y, x, n);
}
inline void relu_backward(const Context& ctx, float* dx, const float* dy, const float* y,
                          int64_t n) {
  ctx.kernels->relu_backward(ctx, dx, dy, y, n);
}

namespace reference {
void relu(double* y, const double* x, int64_t n);
}
}  // namespace reasonrec
