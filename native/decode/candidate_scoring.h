// Log-probs of a group's candidates behind a finished sample, or, where its script has a choose
// step, behind what stands before the choice: a chain prompt -> sample -> candidate, in which
// everything before the candidate is computed once. Many candidates of several samples share a
// forward. Temperature 1, full vocabulary.
//   joint = sum over the candidate's tokens of log p;  mean = joint / tokens;  prob = mean of p
#pragma once
#include <vector>

#include "decode/live_row.h"

namespace reasonrec {

class CandidateScoring {
 public:
  CandidateScoring(const Context& context, const Model& model, const AdapterStack& adapters,
                   bool share_prefix, KvCache& cache)
      : context_(context),
        model_(model),
        adapters_(adapters),
        share_prefix_(share_prefix),
        cache_(cache) {}

  void add(LiveRow&& row);
  bool full() const;  // enough work for a forward
  bool empty() const { return queue_.empty(); }
  // Scores everything queued, polling `job` between forwards; returns the rows, whose memory is the
  // caller's.
  std::vector<LiveRow> run(const Job&);

 private:
  struct Pending {
    LiveRow row;
    size_t next = 0;            // first candidate not yet scored
    std::vector<double> joint;  // per candidate, sum of log p
    std::vector<double> prob;   // per candidate, sum of p
  };
  struct Target {
    Pending* sample;
    size_t candidate;
    int32_t token;
    int64_t row;  // of the batch, the row that predicts `token`
  };
  static void count(Pending&, size_t candidate, float logprob);
  void score_batch(size_t* begin);
  void score_first_tokens(const std::vector<Pending*>&);
  void score_targets(const std::vector<Target>&);

  const Context& context_;
  const Model& model_;
  const AdapterStack& adapters_;
  bool share_prefix_;
  KvCache& cache_;
  std::vector<Pending> queue_;
  int64_t queued_rows_ = 0;
  Buffer hidden_, gathered_, logits_, logprob_, entropy_, lse_;
};

}  // namespace reasonrec
