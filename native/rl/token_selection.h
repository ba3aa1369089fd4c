// Which tokens of a mini-batch get a policy term of their own kind. The choice is made once over
// the whole mini-batch, from numbers of the sampling policy, so that it is the same however the
// step is cut and before every inner pass. Treatments as in ops/policy_loss.h.
#pragma once
#include <cstdint>
#include <vector>

#include "ops/policy_loss.h"

namespace reasonrec {

// Covariance of a token: (A - mean A) (logp - mean logp), means over all tokens given.
// clip_cov: max(1, share * n) tokens drawn by Philox(seed, stream) among those with low <
// covariance < high are left out.
std::vector<uint8_t> clip_cov_tokens(const std::vector<float>& logprob,
                                     const std::vector<float>& advantage, double share, double low,
                                     double high, uint64_t seed, uint64_t stream);
// kl_cov: the max(1, share * n) tokens with the largest covariance are penalised.
std::vector<uint8_t> kl_cov_tokens(const std::vector<float>& logprob,
                                   const std::vector<float>& advantage, double share);
// Tokens below the (1 - keep) quantile of entropy (interpolated linearly) are left out.
std::vector<uint8_t> low_entropy_tokens(const std::vector<float>& entropy, double keep);

struct TokenSelection {
  PolicyLoss loss = PolicyLoss::kPpoClip;  // clip_cov and kl_cov select by covariance
  double share = 0, low = 0, high = 0;
  uint64_t seed = 0, stream = 0;
  double keep_entropy = 1;  // 1: all
};
// Both at once; what is left out by its entropy stays left out.
std::vector<uint8_t> select_tokens(const TokenSelection&, const std::vector<float>& logprob,
                                   const std::vector<float>& advantage,
                                   const std::vector<float>& entropy);

}  // namespace reasonrec
