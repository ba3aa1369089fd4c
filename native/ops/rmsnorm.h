// RMS normalisation (Zhang & Sennrich 2019): y = x r w, r = 1 / sqrt(mean(x^2) + eps), per row.
// Backward, xhat = x r:  dx = r (w dy - xhat mean(w dy xhat)),  dw += sum over rows of dy xhat.
// Saved: x (T, H) and r (T).
#pragma once
#include "backend/backend.h"

namespace reasonrec {

inline void rmsnorm_forward(const Context& ctx, float* y, float* inv_rms, const float* x,
                            const float* w, int64_t t, int64_t h, float eps) {
  ctx.kernels->rmsnorm_forward(ctx, y, inv_rms, x, w, t, h, eps);
}
// dx: overwritten, or += with `accumulate`. dw (H) += or null.
inline void rmsnorm_backward(const Context& ctx, float* dx, float* dw, const float* dy,
                             const float* x, const float* w, const float* inv_rms, int64_t t,
                             int64_t h, bool accumulate) {
  ctx.kernels->rmsnorm_backward(ctx, dx, dw, dy, x, w, inv_rms, t, h, accumulate);
}

namespace reference {
void rmsnorm(double* y, const double* x, const double* w, int64_t t, int64_t h, double eps);
}
}  // namespace reasonrec
