// Values and hand-written gradients of policy_terms.h, side by side. Everything is fp64 inside.
#include "ops/policy_terms.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace reasonrec {
namespace {

constexpr double kMaxExponent = 20, kMaxSequenceExponent = 10;

struct Clipped : Term {
  bool low = false, high = false;
};

// -min(ratio A, clip(ratio) A) as a function of the log of the ratio.
Clipped clipped_surrogate(const PolicyLossConfig& c, double ratio, double advantage, bool inside) {
  Clipped t;
  const double low = 1 - double(c.clip_low), high = 1 + double(c.clip_high);
  const double unclipped = ratio * advantage;
  const double clipped = std::clamp(ratio, low, high) * advantage;
  t.high = advantage > 0 && ratio > high;
  t.low = advantage < 0 && ratio < low;
  t.value = -std::min(unclipped, clipped);
  const bool free = unclipped <= clipped && inside;
  t.gradient = free ? -unclipped : 0;  // d rho / d logp = rho
  return t;
}

void set(PolicyTerm& out, const Clipped& t) {
  out.value = t.value;
  out.gradient = t.gradient;
  out.clipped_low = t.low;
  out.clipped_high = t.high;
}

void cap(PolicyTerm& out, double most) {
  if (out.value <= most) return;
  out.value = most;
  out.gradient = 0;
}

// One token whose ratio and log-ratio are set. `inside`: the log-ratio is not clamped.
void token_term(const PolicyLossConfig& c, double logprob, double advantage, bool inside,
                uint8_t treatment, PolicyTerm& t) {
  const double low = 1 - double(c.clip_low), high = 1 + double(c.clip_high);
  switch (c.loss) {
    case PolicyLoss::kPpoClip:
      set(t, clipped_surrogate(c, t.ratio, advantage, inside));
      if (c.dual_clip > 0 && advantage < 0) cap(t, -double(c.dual_clip) * advantage);
      break;
    case PolicyLoss::kTwoSided:
      set(t, clipped_surrogate(c, t.ratio, advantage, inside));
      if (advantage < 0) cap(t, -double(c.ratio_cap) * advantage);
      break;
    case PolicyLoss::kClipCov:
      set(t, clipped_surrogate(c, t.ratio, advantage, inside));
      break;
    case PolicyLoss::kCispo: {
      const double top = c.ratio_cap > 0 ? double(c.ratio_cap) : high;
      t.clipped_high = t.ratio > top;
      t.clipped_low = !(c.ratio_cap > 0) && t.ratio < low;
      const double held = t.clipped_high ? top : t.clipped_low ? low : t.ratio;
      t.value = -held * advantage * logprob;
      t.gradient = -held * advantage;
      break;
    }
    case PolicyLoss::kSapo: {
      const double tau = double(advantage > 0 ? c.tau_gain : c.tau_loss);
      const double gate = 1 / (1 + std::exp(-tau * (t.ratio - 1)));
      t.value = -advantage * gate * 4 / tau;
      t.gradient = inside ? -advantage * 4 * gate * (1 - gate) * t.ratio : 0;
      break;
    }
    case PolicyLoss::kKlCov:
      t.value = -t.ratio * advantage;
      t.gradient = inside ? t.value : 0;
      if (treatment == kTokenPenalised) {
        t.value += double(c.cov_penalty) * std::abs(t.log_ratio);
        if (inside && t.log_ratio != 0)
          t.gradient += t.log_ratio > 0 ? double(c.cov_penalty) : -double(c.cov_penalty);
      }
      break;
    default:  // kReinforce
      t.value = -advantage * logprob;
      t.gradient = -advantage;
  }
}

struct SequenceMeans {
  double log_ratio = 0;   // of the clamped d
  double divergence = 0;  // of old - logp
};

void leave_out(PolicyTerm& t) {
  t.value = t.gradient = 0;
  t.clipped_low = t.clipped_high = false;
  t.left_out = true;
}

// The sequence's ratio in place of the tokens'.
void sequence_ratio_terms(const PolicyLossConfig& c, double mean, const float* advantage, int64_t n,
                          PolicyTerm* out) {
  const double ratio = std::exp(std::min(mean, kMaxSequenceExponent));
  const double scale = c.loss == PolicyLoss::kLuspo ? double(n) : 1;
  for (int64_t t = 0; t < n; ++t) {
    set(out[t], clipped_surrogate(c, ratio, advantage[t], mean <= kMaxSequenceExponent));
    out[t].value *= scale;
    out[t].gradient *= scale;
  }
}

// d' clamps where the advantage would push it further.
bool geometric_terms(const PolicyLossConfig& c, const float* advantage, int64_t n, PolicyTerm* out,
                     std::vector<uint8_t>& free) {
  double sum = 0;
  for (int64_t t = 0; t < n; ++t) {
    const double d = out[t].log_ratio;
    out[t].clipped_high = advantage[t] > 0 && d > double(c.clip_high);
    out[t].clipped_low = advantage[t] < 0 && d < -double(c.clip_low);
    free[size_t(t)] =
        free[size_t(t)] && advantage[t] != 0 && !out[t].clipped_high && !out[t].clipped_low;
    if (advantage[t] != 0)
      sum += out[t].clipped_high  ? double(c.clip_high)
             : out[t].clipped_low ? -double(c.clip_low)
                                  : d;
  }
  const double ratio = std::exp(sum / double(n));
  for (int64_t t = 0; t < n; ++t) out[t].value = out[t].gradient = -double(advantage[t]) * ratio;
  return true;
}

}  // namespace

Term kl_term(KlKind kind, double logprob, double reference, double old_logprob) {
  const double x = logprob - reference;
  Term t;
  switch (kind) {
    case KlKind::kK1:
    case KlKind::kK1Through:
      t = {x, 1};
      break;
    case KlKind::kK2:
      t = {0.5 * x * x, x};
      break;
    case KlKind::kAbs:
    case KlKind::kAbsThrough:
      t = {std::abs(x), x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0};
      break;
    default: {
      const double e = std::exp(std::clamp(-x, -kMaxExponent, kMaxExponent));
      const bool inside = std::abs(x) <= kMaxExponent;
      t = {e + x - 1, inside ? 1 - e : 1};
    }
  }
  if (kind == KlKind::kK1Through || kind == KlKind::kK3Through || kind == KlKind::kAbsThrough)
    t.gradient = x;
  if (kind == KlKind::kUnbiased) {
    const double d = logprob - old_logprob;
    const double ratio = std::exp(std::clamp(d, -kMaxExponent, kMaxExponent));
    t.gradient = ratio * (t.gradient + (std::abs(d) <= kMaxExponent ? t.value : 0));
    t.value *= ratio;
  }
  return t;
}

void policy_terms(const PolicyLossConfig& c, const float* logprob, const float* old_logprob,
                  const float* advantage, const uint8_t* treatment, int64_t n, PolicyTerm* out) {
  std::vector<uint8_t> inside(static_cast<size_t>(n));
  SequenceMeans mean;
  for (int64_t t = 0; t < n; ++t) {
    const double difference = double(logprob[t]) - double(old_logprob[t]);
    out[t] = {};
    out[t].log_ratio = std::clamp(difference, -kMaxExponent, kMaxExponent);
    out[t].ratio = std::exp(out[t].log_ratio);
    inside[size_t(t)] = std::abs(difference) <= kMaxExponent;
    mean.log_ratio += out[t].log_ratio / double(n);
    mean.divergence -= difference / double(n);
  }
  // Losses over the sequence's ratio leave in `gradient` what each token's value contributes; its
  // sum is shared among all of them.
  bool shared = false;
  switch (c.loss) {
    case PolicyLoss::kGspo:
    case PolicyLoss::kLuspo:
      shared = true;
      [[fallthrough]];
    case PolicyLoss::kGspoToken:
      sequence_ratio_terms(c, mean.log_ratio, advantage, n, out);
      break;
    case PolicyLoss::kGmpo:
      shared = geometric_terms(c, advantage, n, out, inside);
      break;
    default:
      for (int64_t t = 0; t < n; ++t)
        token_term(c, logprob[t], advantage[t], inside[size_t(t)],
                   treatment ? treatment[t] : uint8_t(kTokenPlain), out[t]);
  }
  const bool far = c.off_policy_limit > 0 && mean.divergence > double(c.off_policy_limit);
  for (int64_t t = 0; t < n; ++t)
    if ((far && advantage[t] < 0) || (treatment && treatment[t] == kTokenLeftOut))
      leave_out(out[t]);
  if (!shared && c.loss != PolicyLoss::kGspoToken) return;
  double sum = 0;
  for (int64_t t = 0; t < n; ++t) sum += out[t].gradient;
  for (int64_t t = 0; t < n; ++t) {
    if (shared) out[t].gradient = sum / double(n);
    if (!inside[size_t(t)]) out[t].gradient = 0;
  }
}

}  // namespace reasonrec
