// Preference losses and their gradients. With u_l = beta (D_l - D_w) and q = log sum_l exp(u_l):
//   loss = log(1 + exp(q)),  d loss / d u_l = sigmoid(q) softmax(u)_l
// dpo is the case of one loser, simpo that of one loser with u = margin - beta (m_w - m_l).
#include "ops/preference_loss.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace reasonrec {
namespace {

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

void check_group(const PolicyLossConfig& c, int64_t sequences, int64_t shortest) {
  const bool many = c.loss == PolicyLoss::kSdpo;
  check(many ? sequences >= 2 : sequences == 2, "RR_BAD_ARGUMENT",
        "a preference needs a winner and its losers", many ? "2 sequences or more" : "2 sequences",
        std::to_string(sequences));
  check(shortest > 0, "RR_BAD_ARGUMENT", "a preference has a sequence without a trained token",
        ">= 1 token", "0");
}

}  // namespace

double preference_term(const PolicyLossConfig& c, const double* scores, int64_t count,
                       double* gradient) {
  const double beta = c.preference_beta,
               margin = c.loss == PolicyLoss::kSimpo ? double(c.preference_margin) : 0;
  const auto u = [&](int64_t l) { return margin + beta * (scores[l] - scores[0]); };
  double top = u(1), sum = 0;
  for (int64_t l = 2; l < count; ++l) top = std::max(top, u(l));
  for (int64_t l = 1; l < count; ++l) sum += std::exp(u(l) - top);
  const double q = top + std::log(sum);
  if (gradient) {
    const double push = 1 / (1 + std::exp(-q));
    gradient[0] = -beta * push;
    for (int64_t l = 1; l < count; ++l) gradient[l] = beta * push * std::exp(u(l) - top) / sum;
  }
  return softplus(q);
}

PolicyLossSums preference_loss(const PolicyLossConfig& config, const PolicyTokens& tokens,
                               float* dlogprob) {
  check(config.preference_beta > 0, "RR_BAD_ARGUMENT", "a preference loss needs its beta", "> 0",
        std::to_string(config.preference_beta));
  const bool mean = config.loss == PolicyLoss::kSimpo;
  PolicyLossSums sums;
  size_t i = 0, sequence = 0;
  for (const int64_t count : tokens.group_sizes) {
    const auto lengths = tokens.lengths.begin() + int64_t(sequence);
    check_group(config, count, count > 0 ? *std::min_element(lengths, lengths + count) : 0);
    const double weight = tokens.weight[i];
    std::vector<double> scores(size_t(count), 0.0), gradient(size_t(count), 0.0);
    size_t t = i;
    for (int64_t s = 0; s < count; ++s)
      for (int64_t k = 0; k < lengths[s]; ++k, ++t) {
        const double logprob = tokens.logprob[t];
        scores[size_t(s)] +=
            mean ? logprob / double(lengths[s]) : logprob - double(tokens.reference[t]);
        sums.max_abs_log_ratio =
            std::max(sums.max_abs_log_ratio, std::abs(logprob - double(tokens.old_logprob[t])));
        sums.entropy_sum += tokens.entropy.empty() ? 0 : double(tokens.entropy[t]);
        sums.kl_sum += tokens.reference.empty() ? 0 : logprob - double(tokens.reference[t]);
      }
    const double loss = preference_term(config, scores.data(), count, gradient.data());
    sums.loss += weight * loss;
    sums.policy += weight * loss;
    sums.correct += scores[0] > *std::max_element(scores.begin() + 1, scores.end());
    ++sums.preferences;
    for (int64_t s = 0; s < count; ++s)
      for (int64_t k = 0; k < lengths[s]; ++k, ++i)
        if (dlogprob)
          dlogprob[i] = float(weight * gradient[size_t(s)] / (mean ? double(lengths[s]) : 1.0));
    sequence += size_t(count);
  }
  check(i == tokens.logprob.size(), "RR_SHAPE_MISMATCH", "preference groups must hold every token",
        std::to_string(tokens.logprob.size()), std::to_string(i));
  sums.ratio_sum = double(i);
  sums.tokens = int64_t(i);
  return sums;
}

}  // namespace reasonrec
