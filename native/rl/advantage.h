// Advantages: how the rewards of a step become one signed number per rollout. Rows stand in groups
// of consecutive rollouts of one prompt; a row with valid = 0 takes no part in any statistic and
// gets 0. r is a row's reward (sum of term_weights[k] * term k), mean and std are those of the
// row's group (n - 1; a group of one: mean 0, std 1), N counts the valid rows of all groups, |o| is
// a row's length in trained tokens, eps = epsilon.
//
//   grpo           (r - mean) / (std + eps)                        Shao et al. 2024
//   dr_grpo        r - mean                                        Liu et al. 2025
//   batch_std      (r - mean) / (std of all raw rewards + eps)     Lite-PPO, ScaleRL
//   rloo           n / (n - 1) (r - mean)                          Ahmadian et al. 2024
//   rf++           r, whitened over all tokens (gamma 1, no KL; token form below)  REINFORCE++
//   rf++_baseline  r - mean, whitened over all tokens
//   remax          r - baseline of the group: the reward of its prompt's greedy rollout
//   opo            r - sum |o_j| r_j / sum |o_j|                   length-weighted baseline
//   gpg            N / #{r != 0} (r - mean)
//   passk_best     the best row: r_max - r_second [/ (std + eps) with pass_std], others 0
//   passk_bonus    grpo + pass_at_k_bonus                          rewards more answers, not one
//   gdpo           z_k = (term k - its mean) / (its std + eps) in the group, s = sum_k w_k z_k,
//                  A = (s - mean of all s) / (std of all s + eps)
//   latent_r3      (r - mean of all r) / ||all r - mean of all r||  batch baseline, Euclidean norm
//
// Whitened over tokens: every row counts |o| times; (x - m) / sqrt(v + 1e-8), v with T / (T - 1), T
// the number of tokens. All but rf++, rf++_baseline, remax, gdpo and latent_r3 give exactly 0 to a
// group whose rewards are all equal (passk_bonus: whose hits are alike, too).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace reasonrec {

enum class Advantage {
  kGrpo,
  kDrGrpo,
  kBatchStd,
  kRloo,
  kRfpp,
  kRfppBaseline,
  kRemax,
  kOpo,
  kGpg,
  kPassKBest,
  kPassKBonus,
  kGdpo,
  kLatentR3
};
Advantage advantage_from_name(const std::string&);  // throws RR_UNKNOWN_ESTIMATOR

struct RewardBatch {
  std::vector<double> rewards;       // (rows, terms), row after row
  std::vector<double> term_weights;  // (terms)
  std::vector<int32_t> group_sizes;
  std::vector<uint8_t> valid;  // (rows)
  std::vector<int32_t>
      lengths;                // (rows) trained tokens: rf++, rf++_baseline, opo; else may be empty
  std::vector<uint8_t> hits;  // (rows) passk_bonus; else may be empty
  std::vector<double> baselines;  // (groups) remax; else may be empty
};

struct AdvantageOptions {
  double epsilon = 0;
  int32_t pass_k = 0;     // passk_bonus
  bool pass_std = false;  // passk_best
};

// One per row.
std::vector<double> advantages(Advantage, const RewardBatch&, const AdvantageOptions&);

// rf++ per token, flat over the rows' lengths: R_t = sum_{s >= t} gamma^(s - t) (r_s - penalty_s),
// the row's reward standing at its last token, whitened over all tokens of valid rows (others get
// 0). penalties: beta * k1 of every token, empty for none.
std::vector<double> token_advantages(const RewardBatch&, const std::vector<double>& penalties,
                                     double gamma);

// GREAM: for c hits among n rows, P = 1 - C(n-c, k) / C(n, k), sigma = sqrt(P (1 - P)):
// a hit (1 - P) / sigma, a miss (1 - P - C(n-c-1, k-1) / C(n-1, k-1)) / sigma; 0 where sigma is 0
// or n < k.
struct PassAtKBonus {
  double hit = 0, miss = 0;
};
PassAtKBonus pass_at_k_bonus(int64_t n, int64_t c, int64_t k);

// The estimators that need nothing but one reward per row.
std::vector<double> advantages(Advantage, const std::vector<double>& rewards,
                               const std::vector<int32_t>& group_sizes,
                               const std::vector<uint8_t>& valid, double epsilon);

}  // namespace reasonrec
