// Clipped policy loss with a KL term, per token, and its gradient with respect to the log-probs.
//   d = clamp(logp - old, +-20), rho = exp(d)
//   ppo_clip: l = -min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A)
//             dual_clip > 0: for A < 0 also l = min(l, -dual_clip A)
//   reinforce: l = -A logp
//   KL, x = logp - ref:  k1 = x, k2 = x^2 / 2, k3 = exp(-x) + x - 1 (exponent clamped +-20)
// loss = sum over tokens of weight_t (l_t + beta kl_t). The weights carry the aggregation:
//   token_mean 1 / N_tokens;  seq_mean_token_mean 1 / (N_seq |o_i|);  seq_mean_token_sum 1 / N_seq;
//   const_norm 1 / (N_seq L_max);  N over the GLOBAL batch, fully masked rows left out.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace reasonrec {

enum class PolicyLoss { kPpoClip, kReinforce };
enum class Aggregation { kTokenMean, kSeqMeanTokenMean, kSeqMeanTokenSum, kConstNorm };
enum class KlKind { kK1, kK2, kK3 };
PolicyLoss policy_loss_from_name(const std::string&);
Aggregation aggregation_from_name(const std::string&);
KlKind kl_from_name(const std::string&);

struct PolicyLossConfig {
  PolicyLoss loss = PolicyLoss::kPpoClip;
  float clip_low = 0.2f, clip_high = 0.28f;
  float dual_clip = 0;  // 0: off
  Aggregation aggregation = Aggregation::kTokenMean;
  float max_length = 0;  // L_max of const_norm
  KlKind kl = KlKind::kK3;
  float beta = 0;
  float entropy_bonus = 0;  // loss -= entropy_bonus * weight * entropy
};

// Per-token weights of the aggregation: lengths = unmasked tokens of every sequence in the global
// batch. out[i] is the weight of each unmasked token of sequence i.
std::vector<double> aggregation_weights(Aggregation, const std::vector<int64_t>& lengths,
                                        double max_length);

struct PolicyLossSums {  // over the tokens given, to be added up over micro-batches
  double loss = 0;       // policy + beta * kl - entropy_bonus * entropy
  double policy = 0, kl = 0, entropy = 0;  // weighted
  double kl_sum = 0, ratio_sum = 0, entropy_sum = 0;
  double max_abs_log_ratio = 0;
  int64_t tokens = 0, clipped_low = 0, clipped_high = 0;
};
void add(PolicyLossSums& total, const PolicyLossSums& part);

// dlogprob (n) = d loss / d logp; reference may be null where beta = 0; entropy may be null.
PolicyLossSums policy_loss(const PolicyLossConfig&, const float* logprob, const float* old_logprob,
                           const float* reference, const float* entropy, const float* advantage,
                           const double* weight, int64_t n, float* dlogprob);
// Plain fp64 formula of the loss value for one token: specification and oracle of the finite
// differences.
double policy_loss_reference(const PolicyLossConfig&, double logprob, double old_logprob,
                             double reference, double advantage);

}  // namespace reasonrec
