// The filters of sampler.h. top-p looks at a growing head of the most probable tokens, so a large
// vocabulary is never sorted whole.
#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/check.h"

namespace reasonrec {
namespace {

bool more_probable(const WeightedToken& a, const WeightedToken& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

void keep_top_k(std::vector<WeightedToken>& tokens, int64_t k) {
  if (k <= 0 || k >= int64_t(tokens.size())) return;
  std::nth_element(tokens.begin(), tokens.begin() + (k - 1), tokens.end(), more_probable);
  tokens.resize(size_t(k));
}

double mass(const std::vector<WeightedToken>& tokens) {
  double sum = 0;
  for (const WeightedToken& t : tokens) sum += t.weight;
  return sum;
}

void keep_top_p(std::vector<WeightedToken>& tokens, double top_p) {
  const double enough = top_p * mass(tokens);
  double sum = 0;
  size_t sorted = 0, kept = 0;
  for (size_t head = 128; kept == 0; head *= 8) {
    const size_t end = std::min(head, tokens.size());
    if (end < tokens.size())
      std::nth_element(tokens.begin() + sorted, tokens.begin() + end, tokens.end(), more_probable);
    std::sort(tokens.begin() + sorted, tokens.begin() + end, more_probable);
    for (; sorted < end && kept == 0; ++sorted) {
      sum += tokens[sorted].weight;
      if (sum >= enough) kept = sorted + 1;
    }
    if (end == tokens.size() && kept == 0) kept = end;
  }
  tokens.resize(kept);
}

void keep_min_p(std::vector<WeightedToken>& tokens, double min_p) {
  double largest = 0;
  for (const WeightedToken& t : tokens) largest = std::max(largest, t.weight);
  std::erase_if(tokens, [&](const WeightedToken& t) { return t.weight < min_p * largest; });
}

}  // namespace

void check_sampling(const Sampling& s) {
  const auto require = [](bool ok, const char* name, const char* range, float got) {
    check(ok, "RR_SAMPLING", std::string(name) + " is out of range", range, std::to_string(got));
  };
  require(s.temperature >= 0 && std::isfinite(s.temperature), "temperature", "0 (greedy) or more",
          s.temperature);
  require(s.top_k >= 0, "top_k", "0 (off) or more", float(s.top_k));
  require(s.top_p > 0 && s.top_p <= 1, "top_p", "(0, 1]", s.top_p);
  require(s.min_p >= 0 && s.min_p <= 1, "min_p", "[0, 1]", s.min_p);
  require(s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty), "repetition_penalty",
          "above 0", s.repetition_penalty);
}

// tokens_ holds raw logits as weights, ids ascending. Each distinct token of the history counts
// once.
void Sampler::penalise(const Sampling& s, const int32_t* history, int64_t count) {
  if (s.repetition_penalty == 1) return;
  seen_.assign(history, history + count);
  std::sort(seen_.begin(), seen_.end());
  seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
  auto token = tokens_.begin();
  for (int32_t id : seen_) {
    token = std::lower_bound(token, tokens_.end(), id,
                             [](const WeightedToken& t, int32_t i) { return t.id < i; });
    if (token == tokens_.end()) return;
    if (token->id != id) continue;
    const double r = s.repetition_penalty;
    token->weight = token->weight > 0 ? token->weight / r : token->weight * r;
  }
}

const std::vector<WeightedToken>& Sampler::distribution(const Sampling& s, const float* logits,
                                                        const int32_t* allowed, int64_t count,
                                                        const int32_t* history,
                                                        int64_t history_count) {
  tokens_.resize(size_t(count));
  for (int64_t i = 0; i < count; ++i) {
    const int32_t id = allowed ? allowed[i] : int32_t(i);
    tokens_[i] = {id, double(logits[id])};
  }
  penalise(s, history, history_count);
  double largest = tokens_[0].weight;
  for (const WeightedToken& t : tokens_) largest = std::max(largest, t.weight);
  const double inv_temperature = 1.0 / double(s.temperature);
  for (WeightedToken& t : tokens_) t.weight = std::exp((t.weight - largest) * inv_temperature);
  if (s.top_k > 0) keep_top_k(tokens_, s.top_k);
  if (s.top_p < 1) keep_top_p(tokens_, s.top_p);
  if (s.min_p > 0) keep_min_p(tokens_, s.min_p);
  if (s.top_k > 0 || s.top_p < 1)
    std::sort(tokens_.begin(), tokens_.end(),
              [](const WeightedToken& a, const WeightedToken& b) { return a.id < b.id; });
  return tokens_;
}

int32_t Sampler::draw(const Sampling& s, const float* logits, const int32_t* allowed, int64_t count,
                      const int32_t* history, int64_t history_count, double u) {
  if (s.temperature == 0) {
    tokens_.resize(size_t(count));
    for (int64_t i = 0; i < count; ++i) {
      const int32_t id = allowed ? allowed[i] : int32_t(i);
      tokens_[i] = {id, double(logits[id])};
    }
    penalise(s, history, history_count);
    return std::min_element(tokens_.begin(), tokens_.end(), more_probable)->id;
  }
  distribution(s, logits, allowed, count, history, history_count);
  const double threshold = u * mass(tokens_);
  double sum = 0;
  for (const WeightedToken& t : tokens_) {
    sum += t.weight;
    if (sum > threshold) return t.id;
  }
  // u so near to 1 that rounding passed the end: the last token that has any mass.
  for (auto t = tokens_.rbegin(); t != tokens_.rend(); ++t)
    if (t->weight > 0) return t->id;
  return tokens_.back().id;
}

std::vector<double> sampling_distribution(const Sampling& s, const std::vector<float>& logits,
                                          const std::vector<int32_t>& history) {
  check_sampling(s);
  check(!logits.empty() && s.temperature > 0, "RR_SAMPLING", "there is no distribution to show",
        "logits and a temperature above 0", std::to_string(s.temperature));
  for (const int32_t id : history)
    check(id >= 0 && size_t(id) < logits.size(), "RR_TOKEN_OUT_OF_RANGE",
          "a token of the context is out of range", "[0, " + std::to_string(logits.size()) + ")",
          std::to_string(id));
  Sampler sampler;
  const auto& kept = sampler.distribution(s, logits.data(), nullptr, int64_t(logits.size()),
                                          history.data(), int64_t(history.size()));
  const double whole = mass(kept);
  std::vector<double> probabilities(logits.size(), 0.0);
  for (const WeightedToken& token : kept) probabilities[size_t(token.id)] = token.weight / whole;
  return probabilities;
}

}  // namespace reasonrec
