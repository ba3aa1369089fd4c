// Shapes that follow from a model's configuration, and its rotary frequencies:
//   f_j = theta^(-2j / d), j < d / 2
//   linear:  f_j / factor
//   llama3:  wavelength 2 pi / f_j shorter than n0 / high stays, longer than n0 / low is divided by
//            factor, between them the two are blended (n0 = original_max_position).
//   yarn:    (Peng et al. 2023) pair j makes n0 f_j / 2 pi rotations within the original length.
//            Pairs of at least beta_fast keep f_j, those of at most beta_slow get f_j / factor, and
//            in between the two are blended linearly in j.
//   divisors (GGUF): f_j / divisor_j, in place of the above.
#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/check.h"

namespace reasonrec {

int64_t linear_in(const ModelConfig& c, Linear linear) {
  if (linear == kO) return int64_t(c.heads) * c.head_dim;
  return linear == kDown ? c.intermediate : c.hidden;
}

int64_t linear_out(const ModelConfig& c, Linear linear) {
  switch (linear) {
    case kQ:
      return int64_t(c.heads) * c.head_dim;
    case kK:
    case kV:
      return int64_t(c.kv_heads) * c.head_dim;
    case kGate:
    case kUp:
      return c.intermediate;
    default:
      return c.hidden;
  }
}

void validate(const ModelConfig& c) {
  const auto require = [](bool ok, const char* what, const std::string& expected,
                          const std::string& got) {
    check(ok, "RR_BAD_MODEL", what, expected, got, "check the model's config.json");
  };
  constexpr int64_t kMost = int64_t(1) << 24;  // keeps every product of two sizes far from overflow
  const auto positive = [&](const char* what, int64_t n) {
    require(n > 0 && n <= kMost, what, "1 to " + std::to_string(kMost), std::to_string(n));
  };
  positive("hidden size", c.hidden);
  positive("intermediate size", c.intermediate);
  positive("number of layers", c.layers);
  positive("vocabulary size", c.vocab);
  positive("largest position", c.max_position);
  positive("number of heads", c.heads);
  positive("number of key/value heads", c.kv_heads);
  positive("head dimension", c.head_dim);
  require(c.heads % c.kv_heads == 0, "heads must share key/value heads evenly",
          "a divisor of " + std::to_string(c.heads),
          std::to_string(c.kv_heads) + " key/value heads");
  require(c.head_dim % 2 == 0, "rotary positions turn pairs", "an even head dimension",
          std::to_string(c.head_dim));
  require(c.rms_eps >= 0 && std::isfinite(c.rms_eps), "epsilon of RMSNorm", "0 or more",
          std::to_string(c.rms_eps));
  require(c.rope_theta > 0 && std::isfinite(c.rope_theta), "base of the rotary angles",
          "more than 0", std::to_string(c.rope_theta));
  const RopeScaling& s = c.rope_scaling;
  if (s.kind != RopeScaling::Kind::kNone)
    require(s.factor >= 1, "rotary scaling factor", "1 or more", std::to_string(s.factor));
  require(s.attention_factor > 0 && std::isfinite(s.attention_factor), "rotary attention factor",
          "more than 0", std::to_string(s.attention_factor));
  if (s.kind == RopeScaling::Kind::kYarn)
    require(s.beta_fast > s.beta_slow && s.beta_slow > 0 && s.original_max_position > 0 &&
                c.rope_theta > 1,
            "yarn rotary scaling",
            "0 < beta_slow < beta_fast, a positive original length, base > 1",
            std::to_string(s.beta_slow) + ", " + std::to_string(s.beta_fast));
  for (const float d : s.divisors)
    require(d > 0 && std::isfinite(d), "divisor of a rotary frequency", "more than 0",
            std::to_string(d));
  if (s.kind == RopeScaling::Kind::kLlama3)
    require(s.high_freq_factor > s.low_freq_factor && s.low_freq_factor > 0 &&
                s.original_max_position > 0,
            "llama3 rotary scaling",
            "0 < low_freq_factor < high_freq_factor and a positive original length",
            std::to_string(s.low_freq_factor) + ", " + std::to_string(s.high_freq_factor));
}

namespace {

// How much of the unscaled frequency pair j keeps, 1 to 0.
double yarn_share(const ModelConfig& c, int j) {
  const RopeScaling& s = c.rope_scaling;
  const double d = c.head_dim;
  // The pair that makes `rotations` within the original length, as a real number.
  const auto pair_of = [&](double rotations) {
    return d * std::log(double(s.original_max_position) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(c.rope_theta));
  };
  double low = pair_of(s.beta_fast), high = pair_of(s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, d - 1);
  if (low == high) high += 0.001;
  return 1 - std::clamp((j - low) / (high - low), 0.0, 1.0);
}

}  // namespace

std::vector<double> rope_frequencies(const ModelConfig& c) {
  const RopeScaling& s = c.rope_scaling;
  const double n0 = double(s.original_max_position);
  std::vector<double> out;
  for (int j = 0; j < c.head_dim / 2; ++j) {
    double f = std::pow(c.rope_theta, -2.0 * j / c.head_dim);
    if (!s.divisors.empty()) {
      out.push_back(f / double(s.divisors.at(size_t(j))));
      continue;
    }
    if (s.kind == RopeScaling::Kind::kLinear) f /= s.factor;
    if (s.kind == RopeScaling::Kind::kYarn) {
      const double keep = yarn_share(c, j);
      f = (1 - keep) * f / s.factor + keep * f;
    }
    if (s.kind == RopeScaling::Kind::kLlama3) {
      const double wavelength = 2 * std::numbers::pi / f;
      if (wavelength > n0 / s.low_freq_factor) {
        f /= s.factor;
      } else if (wavelength >= n0 / s.high_freq_factor) {
        const double keep =
            (n0 / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
        f = (1 - keep) * f / s.factor + keep * f;
      }
    }
    out.push_back(f);
  }
  return out;
}

}  // namespace reasonrec
