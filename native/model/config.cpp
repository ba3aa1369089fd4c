// Shapes that follow from a model's configuration, and its rotary frequencies:
//   f_j = theta^(-2j / d), j < d / 2
//   linear:  f_j / factor
//   llama3:  wavelength 2 pi / f_j shorter than n0 / high stays, longer than n0 / low is divided by
//            factor, between them the two are blended (n0 = original_max_position).
#include "model/config.h"

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
  if (s.kind == RopeScaling::Kind::kLlama3)
    require(s.high_freq_factor > s.low_freq_factor && s.low_freq_factor > 0 &&
                s.original_max_position > 0,
            "llama3 rotary scaling",
            "0 < low_freq_factor < high_freq_factor and a positive original length",
            std::to_string(s.low_freq_factor) + ", " + std::to_string(s.high_freq_factor));
}

std::vector<double> rope_frequencies(const ModelConfig& c) {
  const RopeScaling& s = c.rope_scaling;
  const double n0 = double(s.original_max_position);
  std::vector<double> out;
  for (int j = 0; j < c.head_dim / 2; ++j) {
    double f = std::pow(c.rope_theta, -2.0 * j / c.head_dim);
    if (s.kind == RopeScaling::Kind::kLinear) f /= s.factor;
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
