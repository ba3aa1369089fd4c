// The policy losses written out from their formulas in plain fp64, on purpose without a line of
// policy_terms.cpp: what finite differences and values are checked against.
#include <algorithm>
#include <cmath>

#include "ops/policy_loss.h"

namespace reasonrec {
namespace {

double clamped(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

double k3(double x) { return std::exp(clamped(-x, -20, 20)) + x - 1; }

// The gradient of the + forms is that of k2 at `x`, their value that of another estimator, held.
double kl_reference(const PolicyLossConfig& c, double x, double held, double log_ratio) {
  switch (c.kl) {
    case KlKind::kK1:
      return x;
    case KlKind::kK2:
      return x * x / 2;
    case KlKind::kK3:
      return k3(x);
    case KlKind::kAbs:
      return std::fabs(x);
    case KlKind::kK1Through:
      return held + (x * x - held * held) / 2;
    case KlKind::kK3Through:
      return k3(held) + (x * x - held * held) / 2;
    case KlKind::kAbsThrough:
      return std::fabs(held) + (x * x - held * held) / 2;
    default:
      return std::exp(clamped(log_ratio, -20, 20)) * k3(x);
  }
}

}  // namespace

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

double sequence_loss_reference(const PolicyLossConfig& c, const double* logprob, const double* held,
                               const double* old_logprob, const double* reference,
                               const double* advantage, const uint8_t* treatment, int64_t n) {
  const double low = 1 - double(c.clip_low), high = 1 + double(c.clip_high);
  const auto log_ratio = [&](const double* x, int64_t t) {
    return clamped(x[t] - old_logprob[t], -20, 20);
  };
  double mean = 0, held_mean = 0, geometric = 0, divergence = 0;
  for (int64_t t = 0; t < n; ++t) {
    const double sign = advantage[t] > 0 ? 1 : advantage[t] < 0 ? -1 : 0, d = log_ratio(logprob, t);
    mean += d / double(n);
    held_mean += log_ratio(held, t) / double(n);
    geometric += sign *
                 std::min(sign * d, sign * clamped(d, -double(c.clip_low), double(c.clip_high))) /
                 double(n);
    divergence += (old_logprob[t] - held[t]) / double(n);
  }
  const double s = std::exp(std::min(mean, 10.0)), held_s = std::exp(std::min(held_mean, 10.0));
  const auto surrogate = [&](double ratio, double a) {
    return -std::min(ratio * a, clamped(ratio, low, high) * a);
  };
  double total = 0;
  for (int64_t t = 0; t < n; ++t) {
    const double a = advantage[t], rho = std::exp(log_ratio(logprob, t)),
                 held_rho = std::exp(log_ratio(held, t));
    double loss = -a * logprob[t];
    if (c.loss == PolicyLoss::kPpoClip || c.loss == PolicyLoss::kClipCov) loss = surrogate(rho, a);
    if (c.loss == PolicyLoss::kPpoClip && c.dual_clip > 0 && a < 0)
      loss = std::min(loss, -double(c.dual_clip) * a);
    if (c.loss == PolicyLoss::kTwoSided)
      loss = -std::min(std::min(rho, double(c.ratio_cap)) * a, clamped(rho, low, high) * a);
    if (c.loss == PolicyLoss::kGspo) loss = surrogate(s, a);
    if (c.loss == PolicyLoss::kLuspo) loss = surrogate(s, a) * double(n);
    if (c.loss == PolicyLoss::kGspoToken)
      loss = surrogate(held_s * std::exp(logprob[t] - held[t]), a);
    if (c.loss == PolicyLoss::kCispo)
      loss = -(c.ratio_cap > 0 ? std::min(held_rho, double(c.ratio_cap))
                               : clamped(held_rho, low, high)) *
             a * logprob[t];
    if (c.loss == PolicyLoss::kGmpo) loss = -a * std::exp(geometric);
    if (c.loss == PolicyLoss::kSapo) {
      const double tau = double(a > 0 ? c.tau_gain : c.tau_loss);
      loss = -a * (4 / tau) / (1 + std::exp(-tau * (rho - 1)));
    }
    if (c.loss == PolicyLoss::kKlCov) {
      loss = -rho * a;
      if (treatment && treatment[t] == kTokenPenalised)
        loss += double(c.cov_penalty) * std::fabs(log_ratio(logprob, t));
    }
    if (treatment && treatment[t] == kTokenLeftOut) loss = 0;
    if (c.off_policy_limit > 0 && divergence > double(c.off_policy_limit) && a < 0) loss = 0;
    if (c.beta != 0)
      loss += double(c.beta) * kl_reference(c, logprob[t] - reference[t], held[t] - reference[t],
                                            logprob[t] - old_logprob[t]);
    total += loss;
  }
  return total;
}

}  // namespace reasonrec
