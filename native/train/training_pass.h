// What supervised and policy steps share: the trainer's gradients and scratch, and the head over
// the rows that carry loss. A head row may use any hidden row, also one that others use (a prompt's
// last row predicts the first token of every completion); its gradient is scattered back in the
// same order.
#pragma once
#include <cstdint>
#include <vector>

#include "core/job.h"
#include "train/trainer.h"

namespace reasonrec {

// Rows of the head in one micro-batch, and what it returned for them.
struct HeadRows {
  std::vector<int64_t> rows;     // hidden row of each
  std::vector<int32_t> targets;  // token each predicts
  AllowedRows allowed;           // of each
  float inv_temperature = 1;
  Buffer hidden, logprob, entropy, lse;

  int64_t size() const { return int64_t(rows.size()); }
  void add(int64_t row, int32_t target) {
    rows.push_back(row);
    targets.push_back(target);
    allowed.add_all();
  }
  void add(int64_t row, int32_t target, const int32_t* ids, int64_t count) {
    rows.push_back(row);
    targets.push_back(target);
    allowed.add(ids, count);
  }
};

struct TrainingPass {
  Model& model;
  const Adapter* frozen;
  Adapter* adapter;  // null: full-parameter mode
  TrainOptions options;
  Buffer gradients;      // flat, like the layout
  Buffer head_gradient;  // (V, H), full-parameter mode with a tied head only: apart from the
                         // embedding's until the step ends, so that both sums keep their order
                         // across micro-batches
  int64_t step_rows = 0;  // computed since the last apply(): keeps dropout masks apart
  Activations saved;
  Buffer hidden, dhidden, dhead_rows;

  AdapterStack stack() const { return {frozen, adapter}; }
  bool full() const { return !adapter; }

  // hidden = decoder(batch), activations kept if `train`.
  void forward(const Context&, const AdapterStack&, const Batch&, bool train);
  void head_forward(const Context&, HeadRows&, bool entropy);
  void zero_dhidden(int64_t rows);
  // dhidden += the head's gradient for dlogprob and dentropy (may be null) of each row.
  void head_backward(const Context&, HeadRows&, const float* dlogprob, const float* dentropy);
  void backward(const Context&, const Batch&);
};

// Throws RR_TOKEN_OUT_OF_RANGE, RR_PROMPT_TOO_LONG.
void check_sequence(const Model&, const std::vector<int32_t>& ids, int64_t length,
                    const char* what);

}  // namespace reasonrec
