// Training of an adapter (alone, or stacked on a frozen one) or of every weight: supervised steps
// and policy steps. A step is accumulate() calls, each split into micro-batches by token budget,
// and one apply(). Normalisers are those of the whole step, so 1 x 8 and 8 x 1 give the same
// gradients.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/job.h"
#include "decode/allowed_tokens.h"
#include "model/decoder.h"
#include "ops/policy_loss.h"
#include "train/adamw.h"

namespace reasonrec {

// A sequence of the supervised loss: sum_t weight[t] * NLL(ids[t] | ids[0..t-1]). weight[0] must be
// 0.
struct SftSequence {
  std::vector<int32_t> ids;
  std::vector<float> weights;
};

// A prompt and its sampled completions; the prompt is computed once for all of them.
struct PolicyCompletion {
  std::vector<int32_t> ids;         // after the prompt
  std::vector<uint8_t> mask;        // 1: the token is trained
  std::vector<float> old_logprobs;  // one per token, or empty: on-policy, every ratio is 1
  float advantage = 0;
  float sft_weight = 0;  // > 0: adds sft_weight * NLL of the tokens with sft_mask (all-fail help)
  std::vector<uint8_t> sft_mask;
  int32_t trie_begin =
      -1;  // from here on tokens were chosen from the group's trie (renormalised log-probs)
  std::vector<float> token_advantages;  // one per token instead of `advantage`, or empty
  std::vector<uint8_t> treatment;       // TokenTreatment per token, or empty
};
struct PolicyGroup {
  std::vector<int32_t> prompt;
  std::vector<PolicyCompletion> completions;
  std::shared_ptr<const Trie> trie;
};

struct TrainOptions {
  int64_t token_budget = 4096;  // rows of a micro-batch; a longer group goes alone
  bool recompute = false;
  bool share_prefix = true;  // false: each completion carries its own prompt (the oracle)
};

struct SftResult {
  double loss = 0;     // sum of weight * NLL / normaliser
  int64_t tokens = 0;  // with weight != 0
  int64_t rows = 0;    // computed
};

struct PolicyResult {
  PolicyLossSums sums;
  double sft_loss = 0;
  int64_t rows = 0;
  // logp under this trainer's policy and under the reference (empty where the loss needs none),
  // flat in the order of groups, completions, tokens; 0 where the mask is 0
  std::vector<float> logprobs, reference_logprobs, entropies;
};

// An accumulate call that throws (a cancelled job, bad input) drops the gradients of the whole
// step.
class Trainer {
 public:
  // adapter null: full-parameter mode (model becomes trainable). frozen may be null.
  // reference: what KL is measured against: {frozen, nullptr}, {a frozen copy, nullptr}, or {} for
  // the base.
  Trainer(const Context&, Model&, const Adapter* frozen, Adapter* adapter, const TrainOptions&);

  SftResult accumulate_sft(const Context&, const std::vector<SftSequence>&, double normaliser,
                           float dropout, uint64_t dropout_seed, const Job&);
  // weights: aggregation weight of each completion's tokens (aggregation_weights over the whole
  // step). gradients = false: only log-probs (scoring). reference ignored where beta = 0.
  PolicyResult accumulate_policy(const Context&, const std::vector<PolicyGroup>&,
                                 const PolicyLossConfig&, const std::vector<double>& weights,
                                 float temperature, const AdapterStack& reference, bool gradients,
                                 const Job&);
  // Gradient norm before clipping; NaN or inf: nothing changed. Gradients are zero afterwards.
  double apply(const Context&, const OptimiserStep&);
  void drop_gradients();

  const ParameterLayout& layout() const;
  float* values();
  const float* gradients() const;
  AdamW& optimiser();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace reasonrec
