// The registry of policy losses and KL estimators, token by token.
//   d = clamp(logp - old, +-20), rho = exp(d), clip(rho) = clamp(rho, 1 - clip_low, 1 + clip_high)
//   ppo_clip    -min(rho A, clip(rho) A); dual_clip c > 0: for A < 0 also min(., -c A)
//   two_sided   -min(min(rho, delta) A, clip(rho) A)
//   gspo        s = exp(min(mean_t d, 10)) of the whole sequence: -min(s A, clip(s) A)
//   gspo_token  the same value; s is held and multiplied by pi / held pi, so that a token's
//   gradient
//               has its own advantage
//   luspo       gspo * |o|
//   cispo       -held(clip(rho)) A logp; with a cap: -held(min(rho, cap)) A logp
//   gmpo        g = exp(mean_t d'), d' = sgn(A) min(sgn(A) d, sgn(A) clamp(d, -clip_low,
//   clip_high)):
//               -A g
//   sapo        -A sigmoid(tau (rho - 1)) 4 / tau, tau by the sign of A
//   reinforce   -A logp
//   clip_cov    ppo_clip without dual clip; chosen tokens (rl/token_selection.h) are left out
//   kl_cov      -rho A; chosen tokens + penalty |d|
// A token that is left out has value and gradient 0; with off_policy_limit so have the tokens with
// A < 0 of a sequence whose mean of old - logp exceeds it.
//
// KL, x = logp - reference:  k1 = x, k2 = x^2 / 2, k3 = exp(-x) + x - 1 (exponent clamped +-20),
// abs = |x|;  k1+, k3+, abs+: that value with the gradient of k2;  unbiased: rho k3. The values of
// k1 and k3 estimate the KL without bias, but only the gradients of k2, the + forms and unbiased
// are those of the KL.
// A clamped exponent is a constant, so its gradient is zero.
#pragma once
#include "ops/policy_loss.h"

namespace reasonrec {

struct Term {
  double value = 0, gradient = 0;
};

struct PolicyTerm : Term {
  double ratio = 1, log_ratio = 0;
  bool clipped_low = false, clipped_high = false, left_out = false;
};

Term kl_term(KlKind, double logprob, double reference, double old_logprob);

// out (n): value of every token of one sequence, and the gradient of the sequence's sum of values
// with respect to every log-prob (the tokens of a sequence have one weight). treatment may be null.
void policy_terms(const PolicyLossConfig&, const float* logprob, const float* old_logprob,
                  const float* advantage, const uint8_t* treatment, int64_t n, PolicyTerm* out);

}  // namespace reasonrec
