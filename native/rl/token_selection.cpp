// Selection of tokens over a mini-batch; see token_selection.h.
#include "rl/token_selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/check.h"
#include "core/philox.h"

namespace reasonrec {
namespace {

std::vector<double> covariances(const std::vector<float>& logprob,
                                const std::vector<float>& advantage) {
  check(logprob.size() == advantage.size(), "RR_SHAPE_MISMATCH",
        "a covariance needs one advantage per log-prob", std::to_string(logprob.size()),
        std::to_string(advantage.size()));
  const double n = std::max<double>(1, double(logprob.size()));
  const double a = std::accumulate(advantage.begin(), advantage.end(), 0.0) / n,
               p = std::accumulate(logprob.begin(), logprob.end(), 0.0) / n;
  std::vector<double> out;
  for (size_t i = 0; i < logprob.size(); ++i)
    out.push_back((double(advantage[i]) - a) * (double(logprob[i]) - p));
  return out;
}

void check_share(double share) {
  check(share > 0 && share <= 1, "RR_BAD_ARGUMENT", "a share of tokens is out of range", "(0, 1]",
        std::to_string(share));
}

// The first `count` of `from` in descending order of `rank`, equal ranks in order of index.
std::vector<uint8_t> mark(std::vector<size_t> from, const std::vector<double>& rank, size_t count,
                          uint8_t treatment) {
  std::stable_sort(from.begin(), from.end(), [&](size_t a, size_t b) { return rank[a] > rank[b]; });
  std::vector<uint8_t> out(rank.size(), kTokenPlain);
  for (size_t i = 0; i < std::min(count, from.size()); ++i) out[from[i]] = treatment;
  return out;
}

size_t count_of(double share, size_t n) { return std::max<size_t>(1, size_t(share * double(n))); }

}  // namespace

std::vector<uint8_t> clip_cov_tokens(const std::vector<float>& logprob,
                                     const std::vector<float>& advantage, double share, double low,
                                     double high, uint64_t seed, uint64_t stream) {
  check_share(share);
  const std::vector<double> covariance = covariances(logprob, advantage);
  std::vector<double> draws(covariance.size());
  std::vector<size_t> open;
  for (size_t i = 0; i < covariance.size(); ++i) {
    draws[i] = philox_uniform(seed, stream, i);
    if (covariance[i] > low && covariance[i] < high) open.push_back(i);
  }
  return mark(open, draws, count_of(share, covariance.size()), kTokenLeftOut);
}

std::vector<uint8_t> kl_cov_tokens(const std::vector<float>& logprob,
                                   const std::vector<float>& advantage, double share) {
  check_share(share);
  const std::vector<double> covariance = covariances(logprob, advantage);
  std::vector<size_t> all(covariance.size());
  std::iota(all.begin(), all.end(), size_t(0));
  return mark(all, covariance, count_of(share, covariance.size()), kTokenPenalised);
}

std::vector<uint8_t> low_entropy_tokens(const std::vector<float>& entropy, double keep) {
  check_share(keep);
  std::vector<uint8_t> out(entropy.size(), kTokenPlain);
  if (entropy.empty()) return out;
  std::vector<float> sorted = entropy;
  std::sort(sorted.begin(), sorted.end());
  const double place = (1 - keep) * double(sorted.size() - 1);
  const size_t below = size_t(place), above = std::min(below + 1, sorted.size() - 1);
  const double share = place - double(below);
  const double least = double(sorted[below]) * (1 - share) + double(sorted[above]) * share;
  for (size_t i = 0; i < entropy.size(); ++i)
    if (double(entropy[i]) < least) out[i] = kTokenLeftOut;
  return out;
}

std::vector<uint8_t> select_tokens(const TokenSelection& s, const std::vector<float>& logprob,
                                   const std::vector<float>& advantage,
                                   const std::vector<float>& entropy) {
  std::vector<uint8_t> out(logprob.size(), kTokenPlain);
  if (s.loss == PolicyLoss::kClipCov)
    out = clip_cov_tokens(logprob, advantage, s.share, s.low, s.high, s.seed, s.stream);
  if (s.loss == PolicyLoss::kKlCov) out = kl_cov_tokens(logprob, advantage, s.share);
  if (s.keep_entropy == 1) return out;
  check(entropy.size() == out.size(), "RR_SHAPE_MISMATCH", "a token needs its entropy",
        std::to_string(out.size()), std::to_string(entropy.size()));
  const std::vector<uint8_t> low = low_entropy_tokens(entropy, s.keep_entropy);
  for (size_t i = 0; i < out.size(); ++i)
    if (low[i] != kTokenPlain) out[i] = low[i];
  return out;
}

}  // namespace reasonrec
