// Draws the next token from one row of raw logits.
//   penalty:     l = l > 0 ? l / r : l * r for every token already in the prompt or the row (Keskar
//   et al. 2019) temperature: p = softmax(l / temperature) top-k:       the k most probable; top-p:
//   the smallest set of most probable tokens whose mass reaches p; min-p:       p >= min_p * max p.
//   Ties go to the smaller id; filters apply in this order, renormalised between. draw:        the
//   first id, ascending, whose cumulative mass exceeds u.
// All in fp64 from fp32 logits. A row's draw depends on nothing but its arguments.
#pragma once
#include <cstdint>
#include <vector>

namespace reasonrec {

struct Sampling {
  float temperature = 1;  // 0: greedy (smallest id wins a tie), log-probs then at temperature 1
  int top_k = 0;          // 0: off
  float top_p = 1, min_p = 0,
        repetition_penalty = 1;  // order: penalty, temperature, top-k, top-p, min-p
  bool plain() const { return top_k == 0 && top_p >= 1 && min_p <= 0 && repetition_penalty == 1; }
  // What log-probs are reported at.
  float inv_temperature() const { return temperature > 0 ? 1.0f / temperature : 1.0f; }
};

// Throws RR_SAMPLING for a value out of range.
void check_sampling(const Sampling&);

// A candidate token with its unnormalised weight exp(l / temperature - max).
struct WeightedToken {
  int32_t id;
  double weight;
};

class Sampler {
 public:
  // logits: (V) raw. allowed: ids ascending that may follow, or null for all `count` = V of them.
  // history: tokens that the penalty applies to, in any order.
  int32_t draw(const Sampling&, const float* logits, const int32_t* allowed, int64_t count,
               const int32_t* history, int64_t history_count, double u);
  // The tokens left after all filters, ids ascending; temperature must be above 0.
  const std::vector<WeightedToken>& distribution(const Sampling&, const float* logits,
                                                 const int32_t* allowed, int64_t count,
                                                 const int32_t* history, int64_t history_count);

 private:
  void penalise(const Sampling&, const int32_t* history, int64_t count);
  std::vector<WeightedToken> tokens_;
  std::vector<int32_t> seen_;
};

// The probabilities (V) a token is drawn with after `history`; filtered-out tokens have 0. For
// checks and plots. Throws RR_SAMPLING, RR_TOKEN_OUT_OF_RANGE.
std::vector<double> sampling_distribution(const Sampling&, const std::vector<float>& logits,
                                          const std::vector<int32_t>& history);

}  // namespace reasonrec
