// What the engine keeps of a group and of a sample on its way, shared by the decoding steps
// (session.cpp) and the scoring of candidates (candidate_scoring.cpp).
//
// Shared prefix: the prompt is one segment, a sample's tokens are a child segment of it.
// Own prefix: a sample's segment holds the prompt and its tokens; the prompt has none.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "decode/engine.h"
#include "decode/kv_cache.h"

namespace reasonrec {

struct GroupState {
  int64_t id = 0;     // the caller's
  int32_t index = 0;  // in the order of joining
  std::shared_ptr<const GroupRequest> request;
  std::shared_ptr<const std::vector<ScriptStep>> script;
  uint64_t seed = 0;
  bool watched = false, dropped = false;
  std::vector<SampleResult> results;
  std::vector<size_t> told;        // watched: tokens of each sample told so far
  int32_t next_sample = 0;         // the first that waits
  KvSegment prompt;                // shared prefix only
  bool computed = false;           // the prompt's keys are stored and last_hidden is known
  std::vector<float> last_hidden;  // (H) of the prompt's last row
  int64_t users = 0;               // samples that still need the prompt
};

struct LiveRow {
  LiveRow(GroupState& group, int32_t sample_index, ScriptCursor cursor)
      : group(&group),
        sample_index(sample_index),
        result(&group.results[size_t(sample_index)]),
        cursor(cursor) {}
  GroupState* group;
  int32_t sample_index;
  SampleResult* result;
  ScriptCursor cursor;
  KvSegment kv;
  int64_t stored = 0;             // tokens of the own segment whose keys are stored
  int64_t scored = -1;            // tokens of the sample that candidates follow; -1: all
  const float* hidden = nullptr;  // (H) of the last token, after a forward

  // By group and sample, so that siblings stand side by side.
  bool before(const LiveRow& other) const {
    return group->index != other.group->index ? group->index < other.group->index
                                              : sample_index < other.sample_index;
  }
  int64_t prompt_length() const { return int64_t(group->request->prompt.size()); }
  // Tokens after the prompt that count.
  int64_t length() const { return scored >= 0 ? scored : int64_t(result->tokens.size()); }
};

// One forward: the packed rows, their blocks, and where each row's last hidden state will be.
class DecodeBatch {
 public:
  DecodeBatch(int64_t layers, bool share_prefix) : table_(layers), share_prefix_(share_prefix) {}

  // Rows that adding this sample would add.
  int64_t rows_of(const LiveRow&) const;
  // Adds the prompt (once per batch, with shared prefix) and the sample's tokens that are not
  // stored yet. keep_segment: the segment is wanted as a parent even if nothing is pending.
  void add(LiveRow&, bool keep_segment);
  // Adds a segment below the last sample, `past` of whose tokens are stored in its blocks already.
  // Returns its first row.
  int64_t add_candidate(const LiveRow&, const int32_t* tokens, int64_t count, const KvSegment&,
                        int64_t past = 0);
  // Runs the decoder, then marks everything as stored and sets LiveRow::hidden of all samples
  // added.
  void forward(const Context&, const Model&, const AdapterStack&, Buffer& hidden);
  int64_t rows() const { return batch_.rows(); }

 private:
  struct Added {
    LiveRow* row;
    int64_t last_row;  // in the batch, -1: the prompt's
  };
  Batch batch_;
  KvTable table_;
  bool share_prefix_;
  GroupState* last_group_ = nullptr;
  int32_t prompt_segment_ = -1, sample_segment_ = -1;
  std::vector<Added> added_;
  std::vector<std::pair<GroupState*, int64_t>> prompts_;  // computed here, with their last row
  std::vector<int32_t> pending_;
};

}  // namespace reasonrec
