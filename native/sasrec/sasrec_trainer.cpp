// See sasrec_trainer.h.
#include "sasrec/sasrec_trainer.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/philox.h"
#include "ops/head_loss.h"
#include "ops/row_gather.h"
#include "ops/sampled_head.h"
#include "train/packing.h"

namespace reasonrec {
namespace {

constexpr uint64_t kNegatives = uint64_t(1) << 32;  // streams above those of the dropout
constexpr int kAttempts = 64;                       // a negative that is refused so often is kept

void check_items(const SasrecModel& model, const std::vector<int32_t>& items) {
  for (const int32_t id : items)  // a check() per item would build its texts every time
    if (id < 0 || id >= model.shape().items)
      throw Error("RR_ITEM_OUT_OF_RANGE", "a sequence holds an item outside the catalogue",
                  "0 to " + std::to_string(model.shape().items - 1), std::to_string(id),
                  "the model and the data do not belong together");
}

void check_sequences(const SasrecModel& model, const Sequences& s) {
  bool good =
      !s.offsets.empty() && s.offsets.front() == 0 && size_t(s.offsets.back()) == s.items.size();
  for (size_t i = 1; good && i < s.offsets.size(); ++i) good = s.offsets[i - 1] <= s.offsets[i];
  check(good, "RR_BAD_ARGUMENT", "the offsets of the sequences are not usable",
        "ascending from 0 to the number of items", "something else");
  check_items(model, s.items);
}

// The inputs of one sequence are its items without the last, the targets those without the first.
void append_shifted(const SasrecModel& model, SasrecRows& rows, std::vector<int32_t>& targets,
                    const int32_t* sequence, int64_t count) {
  const int64_t kept = std::min(model.shape().positions, count - 1);
  rows.append(model, sequence, count - 1);
  targets.insert(targets.end(), sequence + count - kept, sequence + count);
}

int32_t draw_negative(const SasrecStep& step, int64_t element, int64_t items,
                      const std::vector<int32_t>& barred) {
  int32_t id = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const double u = philox_uniform(step.seed, kNegatives + uint64_t(attempt), uint64_t(element));
    id = int32_t(std::min(items - 1, int64_t(u * double(items))));
    if (!std::binary_search(barred.begin(), barred.end(), id)) break;
  }
  return id;
}

// (T, 1 + negatives): the target, then what is drawn beside it.
std::vector<int32_t> sampled_ids(const SasrecModel& model, const SasrecRows& rows,
                                 const std::vector<int32_t>& targets, const SasrecStep& step,
                                 int64_t first_row) {
  std::vector<int32_t> ids, barred;
  ids.reserve(targets.size() * size_t(1 + step.negatives));
  for (const Segment& s : rows.segments) {
    if (step.spare_sequence && s.rows > 0) {
      barred.assign(targets.begin() + s.row_begin, targets.begin() + s.row_begin + s.rows);
      barred.push_back(rows.items[size_t(s.row_begin)]);
      std::sort(barred.begin(), barred.end());
    }
    for (int64_t row = s.row_begin; row < s.row_begin + s.rows; ++row) {
      ids.push_back(targets[size_t(row)]);
      for (int64_t k = 0; k < step.negatives; ++k)
        ids.push_back(draw_negative(step, (first_row + row) * step.negatives + k,
                                    model.shape().items, barred));
    }
  }
  return ids;
}

}  // namespace

SasrecTrainer::SasrecTrainer(const Context& context, SasrecModel& model)
    : model_(model), optimiser_(model.layout().total) {
  model.refresh(context);
  gradients_.resize(model.layout().total);
  head_gradient_.resize(model.shape().items * model.shape().width);
}

SasrecResult SasrecTrainer::accumulate(const Context& plain, const Sequences& sequences,
                                       const SasrecStep& step, const Job& job) {
  check_sequences(model_, sequences);
  check(std::isfinite(step.normaliser) && step.normaliser > 0, "RR_BAD_ARGUMENT",
        "the normaliser must be positive", "> 0", std::to_string(step.normaliser));
  check(step.row_budget >= 1 && step.negatives >= 0, "RR_BAD_ARGUMENT",
        "rowBudget or negatives are out of range", "at least 1 and 0", "less");
  const Context context = plain.polling(job);
  const auto length = [&](size_t i) {
    return int64_t(sequences.offsets[i + 1] - sequences.offsets[i]);
  };
  std::vector<int64_t> rows;
  for (size_t i = 0; i < size_t(sequences.count()); ++i)
    rows.push_back(std::clamp<int64_t>(length(i) - 1, 0, model_.shape().positions));
  job.total(int32_t(sequences.count()));

  SasrecResult result;
  try {
    for (const Run& run : pack_in_order(rows, step.row_budget)) {
      job.poll();
      SasrecRows batch;
      std::vector<int32_t> targets;
      for (size_t i = run.first; i < run.last; ++i)
        if (rows[i] > 0)
          append_shifted(model_, batch, targets, sequences.items.data() + sequences.offsets[i],
                         length(i));
      if (batch.rows() > 0) {
        saved_.dropout = {step.dropout, step.seed, step_rows_};
        hidden_.resize(batch.rows() * model_.shape().width);
        dhidden_.resize(hidden_.size());
        sasrec_forward(context, model_, batch, hidden_.data(), saved_);
        job.poll();
        (step.negatives > 0) ? binary(context, batch, targets, step, result)
                             : softmax(context, batch, targets, step, result);
        job.poll();
        sasrec_backward(context, model_, batch, gradients_.data(), dhidden_.data(), saved_);
      }
      step_rows_ += batch.rows();
      result.rows += batch.rows();
      job.advance(int32_t(run.last - run.first), int32_t(batch.rows()));
    }
  } catch (...) {  // half a gradient is worse than none
    drop_gradients();
    throw;
  }
  return result;
}

void SasrecTrainer::softmax(const Context& context, const SasrecRows& rows,
                            const std::vector<int32_t>& targets, const SasrecStep& step,
                            SasrecResult& result) {
  const HeadShape shape{rows.rows(), model_.shape().width, model_.shape().items, 1};
  logprob_.resize(shape.t);
  lse_.resize(shape.t);
  head_loss_forward(context, logprob_.data(), nullptr, lse_.data(), hidden_.data(), model_.head(),
                    targets.data(), {}, shape);
  for (int64_t i = 0; i < shape.t; ++i) result.loss -= double(logprob_[i]) / step.normaliser;
  std::fill_n(logprob_.data(), shape.t, float(-1 / step.normaliser));  // now d loss / d log-prob
  head_loss_backward(context, dhidden_.data(), head_gradient_.data(), logprob_.data(), nullptr,
                     hidden_.data(), lse_.data(), nullptr, model_.head(), model_.head_backward(),
                     targets.data(), {}, shape);
}

void SasrecTrainer::binary(const Context& context, const SasrecRows& rows,
                           const std::vector<int32_t>& targets, const SasrecStep& step,
                           SasrecResult& result) {
  const std::vector<int32_t> ids = sampled_ids(model_, rows, targets, step, step_rows_);
  const SampledHead head{model_.at(model_.item_table()), ids.data(), rows.rows(),
                         1 + step.negatives, model_.shape().width};
  scores_.resize(head.t * head.columns);
  sampled_head_forward(context, scores_.data(), hidden_.data(), head);
  result.loss += binary_loss(scores_.data(), head, step.positive_weight, 1 / step.normaliser);
  sampled_head_backward(context, dhidden_.data(), head_gradient_.data(), scores_.data(),
                        hidden_.data(), head);
}

void SasrecTrainer::merge_table_gradient() {
  float* to = gradients_.data() + model_.item_table();
  for (int64_t i = 0; i < head_gradient_.size(); ++i) to[i] += head_gradient_[i];
  std::fill_n(head_gradient_.data(), head_gradient_.size(), 0.0f);
}

double SasrecTrainer::apply(const Context& context, const OptimiserStep& step) {
  merge_table_gradient();
  const double norm =
      optimiser_.step(context, model_.layout(), model_.values(), gradients_.data(), step);
  if (std::isfinite(norm)) model_.refresh(context);
  drop_gradients();
  return norm;
}

void SasrecTrainer::drop_gradients() {
  std::fill_n(gradients_.data(), gradients_.size(), 0.0f);
  std::fill_n(head_gradient_.data(), head_gradient_.size(), 0.0f);
  step_rows_ = 0;
}

const float* SasrecTrainer::gradients() {
  merge_table_gradient();
  return gradients_.data();
}

std::vector<float> sasrec_scores(const Context& plain, const SasrecModel& model,
                                 const Sequences& histories, const Sequences& candidates,
                                 int64_t row_budget, const Job& job) {
  check_sequences(model, histories);
  check_sequences(model, candidates);
  const bool all = candidates.count() == 0;
  check(all || candidates.count() == histories.count(), "RR_SHAPE_MISMATCH",
        "candidates are lists, one for each history", std::to_string(histories.count()),
        std::to_string(candidates.count()));
  const Context context = plain.polling(job);
  const int64_t d = model.shape().width, v = model.shape().items;
  std::vector<int64_t> rows, cost;
  for (int64_t i = 0; i < histories.count(); ++i) {
    rows.push_back(std::min<int64_t>(model.shape().positions,
                                     histories.offsets[i + 1] - histories.offsets[i]));
    cost.push_back(std::max(rows.back(), row_budget / 128));  // a catalogue of logits each
  }
  job.total(int32_t(histories.count()));

  std::vector<float> out;
  out.reserve(all ? size_t(histories.count() * v) : candidates.items.size());
  SasrecActivations unused;
  Buffer hidden, last, lse, logits;
  for (const Run& run : pack_in_order(cost, row_budget)) {
    job.poll();
    SasrecRows batch;
    std::vector<int64_t> ends;
    for (size_t i = run.first; i < run.last; ++i) {
      if (rows[i] == 0) continue;
      batch.append(model, histories.items.data() + histories.offsets[i],
                   histories.offsets[i + 1] - histories.offsets[i]);
      ends.push_back(batch.rows() - 1);
    }
    const int64_t t = int64_t(ends.size());
    hidden.resize(batch.rows() * d);
    last.resize(t * d);
    lse.resize(t);
    logits.resize(t * v, false);
    if (t > 0) {
      sasrec_forward(context, model, batch, hidden.data(), unused);
      gather_rows(last.data(), hidden.data(), ends, d);
      context.kernels->head_forward(context, nullptr, nullptr, lse.data(), logits.data(),
                                    last.data(), model.head(), nullptr, {}, 1, t, d, v);
    }
    int64_t row = 0;
    for (size_t i = run.first; i < run.last; ++i) {
      const float* z = rows[i] > 0 ? logits.data() + row++ * v : nullptr;
      const int64_t begin = all ? 0 : candidates.offsets[i],
                    end = all ? v : candidates.offsets[i + 1];
      for (int64_t c = begin; c < end; ++c)
        out.push_back(z ? z[all ? c : candidates.items[size_t(c)]] : 0.0f);
    }
    job.advance(int32_t(run.last - run.first), int32_t(batch.rows()));
  }
  return out;
}

}  // namespace reasonrec
