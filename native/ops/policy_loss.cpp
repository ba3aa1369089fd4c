// Names, aggregation and the sum over tokens; the losses themselves are in policy_terms.cpp. Sums
// are fp64; only the gradient handed to the head is rounded to fp32.
#include "ops/policy_loss.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "ops/policy_terms.h"
#include "ops/preference_loss.h"

namespace reasonrec {
namespace {

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

void require(bool given, const char* what) {
  check(given, "RR_BAD_ARGUMENT", std::string("this loss needs ") + what, "a positive number",
        "none");
}

void check_constants(const PolicyLossConfig& c) {
  switch (c.loss) {
    case PolicyLoss::kTwoSided:
      check(c.ratio_cap > 1 + c.clip_high, "RR_BAD_ARGUMENT",
            "two_sided needs a cap of the ratio above its clip range",
            "> " + std::to_string(1 + c.clip_high), std::to_string(c.ratio_cap));
      break;
    case PolicyLoss::kSapo:
      require(c.tau_gain > 0 && c.tau_loss > 0, "its two temperatures tau");
      break;
    case PolicyLoss::kKlCov:
      require(c.cov_penalty > 0, "its penalty on |log-ratio|");
      break;
    default:
      break;
  }
}

void check_tokens(const PolicyLossConfig& c, const PolicyTokens& tokens) {
  const size_t n = tokens.logprob.size();
  int64_t sum = 0;
  for (int64_t length : tokens.lengths) sum += length;
  const auto fits = [&](size_t size) { return size == n; };
  check(fits(tokens.old_logprob.size()) && fits(tokens.advantage.size()) &&
            fits(tokens.weight.size()) && fits(size_t(sum)) &&
            (tokens.treatment.empty() || fits(tokens.treatment.size())) &&
            (tokens.reference.empty() || fits(tokens.reference.size())) &&
            (tokens.entropy.empty() || fits(tokens.entropy.size())),
        "RR_SHAPE_MISMATCH", "a token's numbers must all be there", std::to_string(n),
        "another count");
  check(!needs_reference(c) || !tokens.reference.empty(), "RR_BAD_ARGUMENT",
        "a KL term needs reference log-probs", "reference", "none");
  check(c.entropy_bonus == 0 || !tokens.entropy.empty(), "RR_BAD_ARGUMENT",
        "an entropy bonus needs entropies", "entropy", "none");
}

}  // namespace

PolicyLoss policy_loss_from_name(const std::string& name) {
  return from_name<PolicyLoss>(name,
                               {{"ppo_clip", PolicyLoss::kPpoClip},
                                {"two_sided", PolicyLoss::kTwoSided},
                                {"gspo", PolicyLoss::kGspo},
                                {"gspo_token", PolicyLoss::kGspoToken},
                                {"luspo", PolicyLoss::kLuspo},
                                {"cispo", PolicyLoss::kCispo},
                                {"gmpo", PolicyLoss::kGmpo},
                                {"sapo", PolicyLoss::kSapo},
                                {"reinforce", PolicyLoss::kReinforce},
                                {"clip_cov", PolicyLoss::kClipCov},
                                {"kl_cov", PolicyLoss::kKlCov},
                                {"dpo", PolicyLoss::kDpo},
                                {"sdpo", PolicyLoss::kSdpo},
                                {"simpo", PolicyLoss::kSimpo}},
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
  return from_name<KlKind>(name,
                           {{"k1", KlKind::kK1},
                            {"k2", KlKind::kK2},
                            {"k3", KlKind::kK3},
                            {"abs", KlKind::kAbs},
                            {"k1+", KlKind::kK1Through},
                            {"k3+", KlKind::kK3Through},
                            {"abs+", KlKind::kAbsThrough},
                            {"unbiased", KlKind::kUnbiased}},
                           "KL estimator");
}

bool is_preference(PolicyLoss loss) {
  return loss == PolicyLoss::kDpo || loss == PolicyLoss::kSdpo || loss == PolicyLoss::kSimpo;
}

bool needs_reference(const PolicyLossConfig& c) {
  return is_preference(c.loss) ? c.loss != PolicyLoss::kSimpo : c.beta != 0;
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

PolicyLossSums policy_loss(const PolicyLossConfig& config, const PolicyTokens& tokens,
                           float* dlogprob) {
  if (tokens.logprob.empty()) return {};
  check_tokens(config, tokens);
  if (is_preference(config.loss)) return preference_loss(config, tokens, dlogprob);
  check_constants(config);
  PolicyLossSums sums;
  const double beta = config.beta, bonus = config.entropy_bonus;
  const bool reference = !tokens.reference.empty(), entropy = !tokens.entropy.empty();
  std::vector<PolicyTerm> terms;
  size_t i = 0;
  for (const int64_t length : tokens.lengths) {
    if (length == 0) continue;
    terms.resize(size_t(length));
    policy_terms(config, &tokens.logprob[i], &tokens.old_logprob[i], &tokens.advantage[i],
                 tokens.treatment.empty() ? nullptr : &tokens.treatment[i], length, terms.data());
    for (const PolicyTerm& p : terms) {
      const Term kl = reference ? kl_term(config.kl, tokens.logprob[i], tokens.reference[i],
                                          tokens.old_logprob[i])
                                : Term{};
      const double h = entropy ? double(tokens.entropy[i]) : 0, weight = tokens.weight[i];
      const double loss =
          p.value + (beta != 0 ? beta * kl.value : 0) - (bonus != 0 ? bonus * h : 0);
      sums.loss += weight * loss;
      sums.policy += weight * p.value;
      sums.kl += weight * kl.value;
      sums.entropy += weight * h;
      sums.kl_sum += kl.value;
      sums.ratio_sum += p.ratio;
      sums.entropy_sum += h;
      sums.max_abs_log_ratio = std::max(sums.max_abs_log_ratio, std::abs(p.log_ratio));
      sums.clipped_low += p.clipped_low;
      sums.clipped_high += p.clipped_high;
      sums.left_out += p.left_out;
      if (dlogprob)
        dlogprob[i] = float(weight * (p.gradient + (beta != 0 ? beta * kl.gradient : 0)));
      ++i;
    }
  }
  sums.tokens = int64_t(i);
  return sums;
}

PolicyLossSums policy_loss(const PolicyLossConfig& config, const float* logprob,
                           const float* old_logprob, const float* reference, const float* entropy,
                           const float* advantage, const double* weight, int64_t n,
                           float* dlogprob) {
  PolicyTokens tokens;
  tokens.logprob.assign(logprob, logprob + n);
  tokens.old_logprob.assign(old_logprob, old_logprob + n);
  tokens.advantage.assign(advantage, advantage + n);
  tokens.weight.assign(weight, weight + n);
  if (reference) tokens.reference.assign(reference, reference + n);
  if (entropy) tokens.entropy.assign(entropy, entropy + n);
  tokens.lengths.assign(size_t(n), 1);
  return policy_loss(config, tokens, dlogprob);
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
  total.left_out += part.left_out;
  total.preferences += part.preferences;
  total.correct += part.correct;
}

}  // namespace reasonrec
