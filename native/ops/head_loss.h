// Log-prob and entropy of target tokens, vocabulary rows never stored:
//   z = hidden head^T / temperature,  lse = log sum exp z,  logp = z[y] - lse,  entropy = lse - sum
//   p z
// over the whole vocabulary or a row's allowed tokens.
// Backward: dz = (dlogp (1[v = y] - p) - dentropy p (log p + entropy)) / temperature,
//           dhidden = dz head, dhead += dz^T hidden. Saved: hidden, lse, entropy; the tiles are
//           computed again.
#pragma once
#include "backend/backend.h"

namespace reasonrec {

struct HeadShape {
  int64_t t = 0, h = 0, v = 0;
  float inv_temperature = 1;
};

inline void head_loss_forward(const Context& ctx, float* logprob, float* entropy, float* lse,
                              const float* hidden, Panels head, const int32_t* targets,
                              AllowedTokens allowed, const HeadShape& s) {
  ctx.kernels->head_forward(ctx, logprob, entropy, lse, nullptr, hidden, head, targets, allowed,
                            s.inv_temperature, s.t, s.h, s.v);
}
inline void head_loss_backward(const Context& ctx, float* dhidden, float* dhead,
                               const float* dlogprob, const float* dentropy, const float* hidden,
                               const float* lse, const float* entropy, Panels head, Panels head_t,
                               const int32_t* targets, AllowedTokens allowed, const HeadShape& s) {
  ctx.kernels->head_backward(ctx, dhidden, dhead, dlogprob, dentropy, hidden, lse, entropy, head,
                             head_t, targets, allowed, s.inv_temperature, s.t, s.h, s.v);
}

namespace reference {
// head (V, H). Any of the outputs may be null.
void head_loss(double* logprob, double* entropy, double* lse, const double* hidden,
               const double* head, const int32_t* targets, AllowedTokens allowed, const HeadShape&);
}  // namespace reference
}  // namespace reasonrec
