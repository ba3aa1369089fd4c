// The per-token policy loss of policy_loss.h and its hand-written gradient, side by side.
//   ppo_clip:  dl/dlogp = -rho A where the unclipped branch is the active one, else 0
//   reinforce: dl/dlogp = -A
//   k1: 1;  k2: x;  k3: 1 - exp(-x)
// A clamped exponent is a constant, so its gradient is zero. Everything is fp64 inside; only the
// gradient handed to the head is rounded to fp32.
#include "ops/policy_loss.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace reasonrec {
namespace {

constexpr double kMaxExponent = 20;

struct Term {
  double value = 0, gradient = 0;
};

struct ClippedTerm : Term {
  double ratio = 1, log_ratio = 0;
  bool clipped_low = false, clipped_high = false;
};

Term kl_term(KlKind kind, double logprob, double reference) {
  const double x = logprob - reference;
  switch (kind) {
    case KlKind::kK1:
      return {x, 1};
    case KlKind::kK2:
      return {0.5 * x * x, x};
    case KlKind::kK3:
      break;
  }
  const double e = std::exp(std::clamp(-x, -kMaxExponent, kMaxExponent));
  const bool inside = std::abs(x) <= kMaxExponent;
  return {e + x - 1, inside ? 1 - e : 1};
}

ClippedTerm policy_term(const PolicyLossConfig& c, double logprob, double old_logprob,
                        double advantage) {
  ClippedTerm t;
  const double difference = logprob - old_logprob;
  t.log_ratio = std::clamp(difference, -kMaxExponent, kMaxExponent);
  t.ratio = std::exp(t.log_ratio);
  if (c.loss == PolicyLoss::kReinforce) {
    t.value = -advantage * logprob;
    t.gradient = -advantage;
    return t;
  }
  const double low = 1 - double(c.clip_low), high = 1 + double(c.clip_high);
  const double unclipped = t.ratio * advantage;
  const double clipped = std::clamp(t.ratio, low, high) * advantage;
  t.clipped_high = advantage > 0 && t.ratio > high;
  t.clipped_low = advantage < 0 && t.ratio < low;
  t.value = -std::min(unclipped, clipped);
  const bool free = unclipped <= clipped && std::abs(difference) <= kMaxExponent;
  t.gradient = free ? -unclipped : 0;  // d rho / d logp = rho
  if (c.dual_clip > 0 && advantage < 0 && t.value > -double(c.dual_clip) * advantage) {
    t.value = -double(c.dual_clip) * advantage;
    t.gradient = 0;
  }
  return t;
}

template <typename Enum>
Enum from_name(const std::string& name, const std::vector<std::pair<const char*, Enum>>& known,
               const char* what) {
  std::string expected;
  for (const auto& [text, value] : known) {
    if (name == text) return value;
    expected += std::string(expected.empty() ? "" : ", ") + text;
  }
  throw Error("RR_UNKNOWN_LOSS", std::string("unknown ") + what, expected, name);
}

}  // namespace

PolicyLoss policy_loss_from_name(const std::string& name) {
  return from_name<PolicyLoss>(
      name, {{"ppo_clip", PolicyLoss::kPpoClip}, {"reinforce", PolicyLoss::kReinforce}},
      "policy loss");
}

Aggregation aggregation_from_name(const std::string& name) {
  return from_name<Aggregation>(name,
                                {{"token_mean", Aggregation::kTokenMean},
                                 {"seq_mean_token_mean", Aggregation::kSeqMeanTokenMean},
                                 {"seq_mean_token_sum", Aggregation::kSeqMeanTokenSum},
                                 {"const_norm", Aggregation::kConstNorm}},
                                "aggregation");
}

KlKind kl_from_name(const std::string& name) {
  return from_name<KlKind>(name, {{"k1", KlKind::kK1}, {"k2", KlKind::kK2}, {"k3", KlKind::kK3}},
                           "KL estimator");
}

std::vector<double> aggregation_weights(Aggregation aggregation,
                                        const std::vector<int64_t>& lengths, double max_length) {
  double tokens = 0, sequences = 0;
  for (int64_t length : lengths) {
    check(length >= 0, "RR_BAD_ARGUMENT", "a sequence length is negative", ">= 0",
          std::to_string(length));
    tokens += double(length);
    sequences += length > 0 ? 1 : 0;
  }
  check(aggregation != Aggregation::kConstNorm || max_length > 0, "RR_BAD_ARGUMENT",
        "const_norm needs the constant length it divides by", "max_length > 0",
        std::to_string(max_length));
  std::vector<double> weights(lengths.size(), 0.0);
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == 0) continue;  // a fully masked row leaves the mean
    switch (aggregation) {
      case Aggregation::kTokenMean:
        weights[i] = 1 / tokens;
        break;
      case Aggregation::kSeqMeanTokenMean:
        weights[i] = 1 / (sequences * double(lengths[i]));
        break;
      case Aggregation::kSeqMeanTokenSum:
        weights[i] = 1 / sequences;
        break;
      case Aggregation::kConstNorm:
        weights[i] = 1 / (sequences * max_length);
        break;
    }
  }
  return weights;
}

PolicyLossSums policy_loss(const PolicyLossConfig& config, const float* logprob,
                           const float* old_logprob, const float* reference, const float* entropy,
                           const float* advantage, const double* weight, int64_t n,
                           float* dlogprob) {
  PolicyLossSums sums;
  const double beta = config.beta, bonus = config.entropy_bonus;
  if (n == 0) return sums;
  check(beta == 0 || reference, "RR_BAD_ARGUMENT", "a KL term needs reference log-probs",
        "reference", "none");
  check(bonus == 0 || entropy, "RR_BAD_ARGUMENT", "an entropy bonus needs entropies", "entropy",
        "none");
  for (int64_t i = 0; i < n; ++i) {
    const ClippedTerm p = policy_term(config, logprob[i], old_logprob[i], advantage[i]);
    const Term kl = reference ? kl_term(config.kl, logprob[i], reference[i]) : Term{};
    const double h = entropy ? double(entropy[i]) : 0;
    const double loss = p.value + (beta != 0 ? beta * kl.value : 0) - (bonus != 0 ? bonus * h : 0);
    sums.loss += weight[i] * loss;
    sums.policy += weight[i] * p.value;
    sums.kl += weight[i] * kl.value;
    sums.entropy += weight[i] * h;
    sums.kl_sum += kl.value;
    sums.ratio_sum += p.ratio;
    sums.entropy_sum += h;
    sums.max_abs_log_ratio = std::max(sums.max_abs_log_ratio, std::abs(p.log_ratio));
    sums.clipped_low += p.clipped_low;
    sums.clipped_high += p.clipped_high;
    if (dlogprob)
      dlogprob[i] = float(weight[i] * (p.gradient + (beta != 0 ? beta * kl.gradient : 0)));
  }
  sums.tokens = n;
  return sums;
}

void add(PolicyLossSums& total, const PolicyLossSums& part) {
  total.loss += part.loss;
  total.policy += part.policy;
  total.kl += part.kl;
  total.entropy += part.entropy;
  total.kl_sum += part.kl_sum;
  total.ratio_sum += part.ratio_sum;
  total.entropy_sum += part.entropy_sum;
  total.max_abs_log_ratio = std::max(total.max_abs_log_ratio, part.max_abs_log_ratio);
  total.tokens += part.tokens;
  total.clipped_low += part.clipped_low;
  total.clipped_high += part.clipped_high;
}

// Written out from the formula, on purpose without the functions above.
double policy_loss_reference(const PolicyLossConfig& config, double logprob, double old_logprob,
                             double reference, double advantage) {
  const double d = std::max(-20.0, std::min(20.0, logprob - old_logprob));
  const double rho = std::exp(d);
  double loss = -advantage * logprob;
  if (config.loss == PolicyLoss::kPpoClip) {
    const double low = 1 - double(config.clip_low), high = 1 + double(config.clip_high);
    const double clipped_rho = rho < low ? low : rho > high ? high : rho;
    loss = -std::min(rho * advantage, clipped_rho * advantage);
    if (config.dual_clip > 0 && advantage < 0)
      loss = std::min(loss, -double(config.dual_clip) * advantage);
  }
  if (config.beta == 0) return loss;
  const double x = logprob - reference;
  double kl = x;
  if (config.kl == KlKind::kK2) kl = x * x / 2;
  if (config.kl == KlKind::kK3) kl = std::exp(std::max(-20.0, std::min(20.0, -x))) + x - 1;
  return loss + double(config.beta) * kl;
}

}  // namespace reasonrec
