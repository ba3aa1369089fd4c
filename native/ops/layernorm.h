// Layer normalisation (Ba, Kiros & Hinton 2016), per row:
//   y = xhat w + b, xhat = (x - m) r, m = mean(x), r = 1 / sqrt(mean((x - m)^2) + eps).
// Backward, g = w dy:  dx = r (g - mean(g) - xhat mean(g xhat)),  dw += sum over rows of dy xhat,
// db += sum over rows of dy. Saved: x (T, H), m and r (T).
#pragma once
#include "backend/backend.h"

namespace reasonrec {

inline void layernorm_forward(const Context& ctx, float* y, float* mean, float* inv_std,
                              const float* x, const float* w, const float* b, int64_t t, int64_t h,
                              float eps) {
  ctx.kernels->layernorm_forward(ctx, y, mean, inv_std, x, w, b, t, h, eps);
}
// dx: overwritten, or += with `accumulate`. dw, db (H) +=, or both null.
inline void layernorm_backward(const Context& ctx, float* dx, float* dw, float* db, const float* dy,
                               const float* x, const float* w, const float* mean,
                               const float* inv_std, int64_t t, int64_t h, bool accumulate) {
  ctx.kernels->layernorm_backward(ctx, dx, dw, db, dy, x, w, mean, inv_std, t, h, accumulate);
}

namespace reference {
void layernorm(double* y, const double* x, const double* w, const double* b, int64_t t, int64_t h,
               double eps);
}
}  // namespace reasonrec
