// Composes a batch of segment trees from live rows: prompt, then the samples that share it side by
// side, then the candidates below each. Every row's tile boundaries are counted from the beginning
// of its own segment, so they are the same whatever the batch holds.
#include "decode/live_row.h"

namespace reasonrec {

int64_t DecodeBatch::rows_of(const LiveRow& row) const {
  const int64_t tokens = row.length();
  if (!share_prefix_) return row.prompt_length() + tokens - row.stored;
  const bool prompt = !row.group->computed && row.group != last_group_;
  return tokens - row.stored + (prompt ? row.prompt_length() : 0);
}

void DecodeBatch::add(LiveRow& row, bool keep_segment) {
  const auto& prompt = row.group->request->prompt;
  const auto& tokens = row.result->tokens;
  const int64_t length = row.prompt_length();
  if (share_prefix_ && row.group != last_group_) {
    const bool computed = row.group->computed;
    prompt_segment_ = batch_.append(prompt.data(), computed ? 0 : length, -1,
                                    computed ? int32_t(length) : 0, computed ? length : 0);
    table_.append(row.group->prompt);
    if (!computed) prompts_.push_back({row.group, batch_.rows() - 1});
    last_group_ = row.group;
  }
  pending_.clear();
  const int64_t base =
      share_prefix_ ? 0 : length;  // tokens of the own segment that belong to the prompt
  const int64_t total = base + row.length();
  for (int64_t i = row.stored; i < total; ++i)
    pending_.push_back(i < base ? prompt[i] : tokens[i - base]);
  if (pending_.empty() && (!keep_segment || total == 0)) {
    sample_segment_ = prompt_segment_;  // nothing of its own: candidates hang below the prompt
    added_.push_back({&row, -1});
    return;
  }
  const int64_t position = (share_prefix_ ? length : 0) + row.stored;
  sample_segment_ =
      batch_.append(pending_.data(), int64_t(pending_.size()), share_prefix_ ? prompt_segment_ : -1,
                    int32_t(position), row.stored);
  table_.append(row.kv);
  added_.push_back({&row, pending_.empty() ? -1 : batch_.rows() - 1});
}

int64_t DecodeBatch::add_candidate(const LiveRow& row, const int32_t* tokens, int64_t count,
                                   const KvSegment& kv, int64_t past) {
  const int64_t first = batch_.rows();
  const int64_t position = row.prompt_length() + row.length() + past;
  batch_.append(tokens, count, sample_segment_, int32_t(position), past);
  table_.append(kv);
  return first;
}

void DecodeBatch::forward(const Context& context, const Model& model, const AdapterStack& adapters,
                          Buffer& hidden) {
  const int64_t h = model.config().hidden;
  hidden.resize(batch_.rows() * h);
  if (batch_.rows() > 0)
    decoder_forward(context, model, adapters, batch_, table_.blocks, hidden.data(), nullptr);
  for (auto& [group, row] : prompts_) {
    group->computed = true;
    group->last_hidden.assign(hidden.data() + row * h, hidden.data() + (row + 1) * h);
  }
  for (const Added& added : added_) {
    LiveRow& row = *added.row;
    const int64_t base = share_prefix_ ? 0 : row.prompt_length();
    row.stored = base + row.length();
    if (added.last_row >= 0)
      row.hidden = hidden.data() + added.last_row * h;
    else if (share_prefix_ && row.stored == 0)
      row.hidden = row.group->last_hidden.data();
  }
}

}  // namespace reasonrec
