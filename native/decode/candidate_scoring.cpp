// A candidate of n tokens needs n - 1 rows: its first token is predicted by the sample's last row,
// whose logits are read once for all candidates; its last token is only ever a target.
#include "decode/candidate_scoring.h"

#include <algorithm>
#include <cmath>

#include "decode/head_rows.h"

namespace reasonrec {
namespace {

constexpr int64_t kBatchRows = 1024;
constexpr size_t kBatchSamples = 64;  // bounds the logits: one row per sample

}  // namespace

void CandidateScoring::add(LiveRow&& row) {
  if (row.cursor.choice_begin() >= 0) {
    // Back to before the choice. The row that predicts its first token is computed again (the same
    // bits), since the choice may have been walked without a decision there.
    row.scored = row.cursor.choice_begin();
    const int64_t total = (share_prefix_ ? 0 : row.prompt_length()) + row.scored;
    row.stored = std::max<int64_t>(0, std::min(row.stored, total - 1));
  }
  queued_rows_ += DecodeBatch(1, share_prefix_).rows_of(row);
  for (const auto& c : row.group->request->candidates) queued_rows_ += int64_t(c.size()) - 1;
  const size_t candidates = row.group->request->candidates.size();
  const std::vector<double> none(candidates, 0.0);
  queue_.push_back({std::move(row), 0, none, none});
}

bool CandidateScoring::full() const {
  return queued_rows_ >= kBatchRows || queue_.size() >= kBatchSamples;
}

std::vector<LiveRow> CandidateScoring::run(const Job& job) {
  std::sort(queue_.begin(), queue_.end(),
            [](const Pending& a, const Pending& b) { return a.row.before(b.row); });
  size_t begin = 0;
  while (begin < queue_.size()) {
    job.poll();
    score_batch(&begin);
  }
  std::vector<LiveRow> done;
  for (Pending& p : queue_) {
    SampleResult& result = *p.row.result;
    for (size_t c = 0; c < p.joint.size(); ++c) {
      const double tokens = double(p.row.group->request->candidates[c].size());
      result.candidate_joint.push_back(float(p.joint[c]));
      result.candidate_mean.push_back(float(p.joint[c] / tokens));
      result.candidate_prob.push_back(float(p.prob[c] / tokens));
    }
    done.push_back(std::move(p.row));
  }
  queue_.clear();
  queued_rows_ = 0;
  return done;
}

void CandidateScoring::count(Pending& sample, size_t candidate, float logprob) {
  sample.joint[candidate] += logprob;
  sample.prob[candidate] += std::exp(double(logprob));
}

// One forward over as many candidates as fit, from *begin on; a sample's candidates may be spread
// over several forwards.
void CandidateScoring::score_batch(size_t* begin) {
  DecodeBatch batch(model_.config().layers, share_prefix_);
  std::vector<Pending*> first_tokens;
  std::vector<Target> targets;
  std::vector<KvSegment> scratch;
  size_t samples = 0;
  while (*begin < queue_.size() && samples < kBatchSamples) {
    Pending& p = queue_[*begin];
    const auto& candidates = p.row.group->request->candidates;
    const bool alone = batch.rows() == 0 && samples == 0;
    const int64_t next_rows = batch.rows_of(p.row) + int64_t(candidates[p.next].size()) - 1;
    if (!alone && batch.rows() + next_rows > kBatchRows) break;
    batch.add(p.row, true);
    ++samples;
    if (p.next == 0) first_tokens.push_back(&p);
    const size_t first = p.next;
    for (; p.next < candidates.size(); ++p.next) {
      const auto& ids = candidates[p.next];
      const int64_t rows = int64_t(ids.size()) - 1;
      if (p.next > first && batch.rows() + rows > kBatchRows) break;
      if (rows == 0) continue;
      scratch.push_back(cache_.acquire(rows, 1));
      const int64_t row = batch.add_candidate(p.row, ids.data(), rows, scratch.back());
      for (int64_t i = 0; i < rows; ++i) targets.push_back({&p, p.next, ids[i + 1], row + i});
    }
    if (p.next < candidates.size()) break;
    ++*begin;
  }
  batch.forward(context_, model_, adapters_, hidden_);
  score_first_tokens(first_tokens);
  score_targets(targets);
  for (KvSegment& s : scratch) cache_.release(std::move(s));
}

void CandidateScoring::score_first_tokens(const std::vector<Pending*>& samples) {
  if (samples.empty()) return;
  const int64_t n = int64_t(samples.size()), v = model_.config().vocab;
  std::vector<const float*> rows;
  for (const Pending* p : samples) rows.push_back(p->row.hidden);
  const float* hidden = gather_hidden(gathered_, rows, model_.config().hidden);
  logits_.resize(n * v);
  lse_.resize(n);
  entropy_.resize(n);
  head_logits(context_, model_, hidden, n, AllowedTokens{}, 1.0f, logits_.data(), lse_.data(),
              entropy_.data());
  for (int64_t i = 0; i < n; ++i) {
    const auto& candidates = samples[i]->row.group->request->candidates;
    for (size_t c = 0; c < candidates.size(); ++c)
      count(*samples[i], c, tempered_logprob(logits_[i * v + candidates[c][0]], 1.0f, lse_[i]));
  }
}

void CandidateScoring::score_targets(const std::vector<Target>& targets) {
  if (targets.empty()) return;
  const int64_t n = int64_t(targets.size()), h = model_.config().hidden;
  std::vector<const float*> rows;
  std::vector<int32_t> tokens;
  for (const Target& t : targets) {
    rows.push_back(hidden_.data() + t.row * h);
    tokens.push_back(t.token);
  }
  const float* hidden = gather_hidden(gathered_, rows, h);
  logprob_.resize(n);
  lse_.resize(n);
  context_.kernels->head_forward(context_, logprob_.data(), nullptr, lse_.data(), nullptr, hidden,
                                 model_.head(), tokens.data(), AllowedTokens{}, 1.0f, n, h,
                                 model_.config().vocab);
  check_finite(logprob_.data(), n);
  for (int64_t i = 0; i < n; ++i) count(*targets[i].sample, targets[i].candidate, logprob_[i]);
}

}  // namespace reasonrec
