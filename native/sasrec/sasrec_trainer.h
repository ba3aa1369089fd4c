// Training of SASRec and its scores. A step is accumulate() calls, each cut into micro-batches of
// whole sequences by a budget of rows, and one apply(); the cut changes no bits.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "core/job.h"
#include "sasrec/sasrec_network.h"
#include "train/adamw.h"

namespace reasonrec {

// Sequences one after another; offsets has one entry more than there are sequences.
struct Sequences {
  std::vector<int32_t> items, offsets;
  int64_t count() const { return int64_t(offsets.size()) - 1; }
};

// Every item of a sequence but the first is predicted from those before it.
struct SasrecStep {
  double normaliser = 1;  // of the whole step
  float dropout = 0;
  uint64_t seed = 0;      // of dropout and negatives, another one each step
  int64_t negatives = 0;  // per prediction, drawn uniformly; 0: softmax over the whole catalogue
  double positive_weight = 1;   // b of ops/sampled_head.h
  bool spare_sequence = false;  // negatives are no items of the sequence (as far as it is read)
  int64_t row_budget = 4096;    // of a micro-batch; a longer sequence goes alone
};

struct SasrecResult {
  double loss = 0;   // sum / normaliser
  int64_t rows = 0;  // predictions
};

class SasrecTrainer {
 public:
  SasrecTrainer(const Context&, SasrecModel&);

  // A call that throws (a cancelled job, bad input) drops the gradients of the whole step.
  SasrecResult accumulate(const Context&, const Sequences&, const SasrecStep&, const Job&);
  // Gradient norm before clipping; NaN or inf: nothing changed. Gradients are zero afterwards.
  double apply(const Context&, const OptimiserStep&);
  void drop_gradients();

  const float* gradients();  // merged
  AdamW& optimiser() { return optimiser_; }

 private:
  void softmax(const Context&, const SasrecRows&, const std::vector<int32_t>& targets,
               const SasrecStep&, SasrecResult&);
  void binary(const Context&, const SasrecRows&, const std::vector<int32_t>& targets,
              const SasrecStep&, SasrecResult&);
  void merge_table_gradient();

  SasrecModel& model_;
  AdamW optimiser_;
  Buffer gradients_;  // flat, like the layout
  // (V, d): the head's part of the items' gradient, apart from the input's until the step ends, so
  // that both sums keep their order across micro-batches.
  Buffer head_gradient_;
  int64_t step_rows_ = 0;  // since the last apply(): keeps masks and negatives apart
  SasrecActivations saved_;
  Buffer hidden_, dhidden_, logprob_, lse_, scores_;
};

// Logits of the item that follows each sequence: those of its candidates, in their order, or of the
// whole catalogue where there are none. An empty sequence scores 0 for all. Flat.
std::vector<float> sasrec_scores(const Context&, const SasrecModel&, const Sequences& histories,
                                 const Sequences& candidates, int64_t row_budget, const Job&);

}  // namespace reasonrec
