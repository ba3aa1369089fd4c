// A sequence needs the rows before its last weighted token and no more: what follows predicts
// nothing.
#include "train/sft_step.h"

#include <cmath>
#include <string>

#include "train/packing.h"

namespace reasonrec {
namespace {

// Rows to compute: the index of the last token with a weight.
int64_t rows_needed(const Model& model, const SftSequence& s) {
  check(s.ids.size() == s.weights.size(), "RR_SHAPE_MISMATCH",
        "a sequence needs one weight per token", std::to_string(s.ids.size()),
        std::to_string(s.weights.size()));
  check(s.weights.empty() || s.weights[0] == 0, "RR_BAD_ARGUMENT",
        "nothing predicts a sequence's first token", "weight 0",
        s.weights.empty() ? "" : std::to_string(s.weights[0]), "weight only the response");
  check_sequence(model, s.ids, int64_t(s.ids.size()), "a sequence");
  int64_t last = 0;
  for (size_t t = 0; t < s.weights.size(); ++t) {
    if (!std::isfinite(s.weights[t]))
      throw Error("RR_NON_FINITE", "a token's weight is not finite", "a finite weight",
                  std::to_string(s.weights[t]));
    if (s.weights[t] != 0) last = int64_t(t);
  }
  return last;
}

}  // namespace

SftResult sft_step(const Context& plain_context, TrainingPass& pass,
                   const std::vector<SftSequence>& sequences, double normaliser, float dropout,
                   uint64_t dropout_seed, const Job& job) {
  check(std::isfinite(normaliser) && normaliser > 0, "RR_BAD_ARGUMENT",
        "the normaliser must be positive", "> 0", std::to_string(normaliser),
        "count the response tokens of the whole step");
  const Context context = plain_context.polling(job);
  std::vector<int64_t> rows;
  for (const SftSequence& s : sequences) rows.push_back(rows_needed(pass.model, s));
  job.total(int32_t(sequences.size()));

  SftResult result;
  for (const Run& run : pack_in_order(rows, pass.options.token_budget)) {
    job.poll();
    Batch batch;
    HeadRows head;
    std::vector<float> dlogprob;
    std::vector<double> weights;
    for (size_t i = run.first; i < run.last; ++i) {
      const SftSequence& s = sequences[i];
      const int64_t first = batch.rows();
      if (rows[i] > 0) batch.append(s.ids.data(), rows[i], -1, 0);
      for (int64_t t = 1; t <= rows[i]; ++t) {
        if (s.weights[t] == 0) continue;
        head.add(first + t - 1, s.ids[t]);
        weights.push_back(double(s.weights[t]) / normaliser);
        dlogprob.push_back(float(-weights.back()));
      }
    }
    if (batch.rows() > 0) {
      pass.saved.recompute = pass.options.recompute;
      pass.saved.dropout = dropout;
      pass.saved.dropout_seed = dropout_seed;
      pass.saved.first_row = pass.step_rows;
      pass.forward(context, pass.stack(), batch, true);
      job.poll();
      pass.head_forward(context, head, false);
      for (int64_t i = 0; i < head.size(); ++i) result.loss -= weights[i] * double(head.logprob[i]);
      pass.zero_dhidden(batch.rows());
      pass.head_backward(context, head, dlogprob.data(), nullptr);
      job.poll();
      pass.backward(context, batch);
    }
    pass.step_rows += batch.rows();
    result.tokens += head.size();
    result.rows += batch.rows();
    job.advance(int32_t(run.last - run.first), int32_t(batch.rows()));
  }
  return result;
}

}  // namespace reasonrec
