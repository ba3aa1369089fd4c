// Policy loss of a step's tokens and its gradient with respect to their log-probs.
//   loss = sum over tokens of weight_t (l_t + beta kl_t - entropy_bonus H_t)
// l and kl: the registry in policy_terms.h. The weights carry the aggregation:
//   token_mean 1 / N_tokens;  seq_mean_token_mean 1 / (N_seq |o_i|);  seq_mean_token_sum 1 / N_seq;
//   const_norm 1 / (N_seq L_max);  N over the GLOBAL batch, fully masked rows left out.
// Preference losses (preference_loss.h) take whole groups of sequences and have no KL term.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace reasonrec {

enum class PolicyLoss {
  kPpoClip,
  kTwoSided,
  kGspo,
  kGspoToken,
  kLuspo,
  kCispo,
  kGmpo,
  kSapo,
  kReinforce,
  kClipCov,
  kKlCov,
  kDpo,
  kSdpo,
  kSimpo
};
enum class Aggregation { kTokenMean, kSeqMeanTokenMean, kSeqMeanTokenSum, kConstNorm };
enum class KlKind { kK1, kK2, kK3, kAbs, kK1Through, kK3Through, kAbsThrough, kUnbiased };
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
  // 0: not given. A loss that needs one of these refuses without it.
  float ratio_cap = 0;         // two_sided: delta; cispo: caps above only (not given: both sides)
  float tau_gain = 0;          // sapo, A > 0
  float tau_loss = 0;          // sapo, A <= 0
  float cov_penalty = 0;       // kl_cov
  float off_policy_limit = 0;  // > 0: tokens with A < 0 leave where mean_t (old - logp) exceeds it
  float preference_beta = 0, preference_margin = 0;
};
bool is_preference(PolicyLoss);
bool needs_reference(const PolicyLossConfig&);

// What to do with a token's policy term.
enum TokenTreatment : uint8_t { kTokenPlain = 0, kTokenLeftOut = 1, kTokenPenalised = 2 };

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
  int64_t left_out = 0;                  // tokens whose policy term was masked
  int64_t preferences = 0, correct = 0;  // preference groups, and those whose winner leads
};
void add(PolicyLossSums& total, const PolicyLossSums& part);

// Tokens of whole sequences, one sequence after the other.
struct PolicyTokens {
  std::vector<float> logprob, old_logprob, advantage;
  std::vector<float> reference, entropy;  // or empty
  std::vector<double> weight;             // equal within a sequence
  std::vector<uint8_t> treatment;         // TokenTreatment, or empty
  std::vector<int64_t> lengths;           // of the sequences
  std::vector<int64_t> group_sizes;       // sequences of each group; read by preference losses
};
// dlogprob (n) = d loss / d logp, or null.
PolicyLossSums policy_loss(const PolicyLossConfig&, const PolicyTokens&, float* dlogprob);

// The same where every token is a sequence of its own; reference may be null where beta = 0;
// entropy may be null.
PolicyLossSums policy_loss(const PolicyLossConfig&, const float* logprob, const float* old_logprob,
                           const float* reference, const float* entropy, const float* advantage,
                           const double* weight, int64_t n, float* dlogprob);

// Plain fp64 formulas of the loss value (policy_reference.cpp): specification and oracle of the
// finite differences. The first: one token of ppo_clip or reinforce with k1, k2 or k3.
double policy_loss_reference(const PolicyLossConfig&, double logprob, double old_logprob,
                             double reference, double advantage);
// Every loss, sum over the tokens of one sequence (n): `held` (n) are the log-probs at which
// stop-gradients stand still; reference (n) or null; treatment (n) or null.
double sequence_loss_reference(const PolicyLossConfig&, const double* logprob, const double* held,
                               const double* old_logprob, const double* reference,
                               const double* advantage, const uint8_t* treatment, int64_t n);

}  // namespace reasonrec
