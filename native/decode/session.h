// A decoding session: groups join a running batch at step boundaries and leave it there. generate()
// is a session that everything joins at its beginning.
//
//   step:  admit waiting samples, one forward over all live rows, one decision for each, leave
//
// What a sample is does not depend on when it joined or on its company (engine.h), so a session
// gives every group the bits that generate() gives it alone. Groups bring their own script and
// seed; rows of different temperatures share the forward and are decided by a head pass each.
#pragma once
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <vector>

#include "decode/beam_search.h"
#include "decode/candidate_scoring.h"
#include "decode/engine.h"
#include "decode/live_row.h"

namespace reasonrec {

struct SessionGroup {
  int64_t id = 0;  // the caller's name for it; no two groups of a session share one
  std::shared_ptr<const GroupRequest> request;
  std::shared_ptr<const std::vector<ScriptStep>> script;
  uint64_t seed = 0;
  bool watched = false;  // SessionNews::grown tells of its tokens while they come
};

struct SessionOptions {
  int max_rows = 64;
  bool share_prefix = true;
  // Candidates and beams of a finished row are computed in the same step, instead of waiting until
  // enough of them make a good batch. The same bits either way.
  bool prompt = false;
};

struct SessionSample {
  int64_t group = 0;  // SessionGroup::id
  int32_t sample = 0;
  SampleResult result;
};

struct SessionNews {
  std::vector<SessionSample> finished;
  std::vector<SessionSample> grown;  // of watched groups: the tokens since the last step, no more
};

class DecodeSession {
 public:
  // Everything outlives the session. Weights and adapters must stay as they are while a row is
  // live. vocabulary: null, no stop strings.
  DecodeSession(const Kernels&, const Model&, const AdapterStack&, const SessionOptions&,
                const VocabularyBytes* vocabulary);

  // Throws what generate() throws of a group. Reads nothing that a step changes.
  void require(const SessionGroup&) const;
  // Waits for the next step. Throws as require(); nothing has joined then.
  void join(SessionGroup);
  // Its samples go at once, with all they hold, and nothing more is told of it. Unknown id: no-op.
  void drop(int64_t id);
  bool idle() const { return groups_.empty(); }
  // From one boundary to the next. Progress of the job: samples and tokens. After an exception,
  // RR_CANCELLED among them, the session is of no further use.
  SessionNews step(const Context&, const Job&);

 private:
  void admit();
  void start(GroupState&, int32_t sample);
  void forward(const Job&);
  void decide(const std::vector<LiveRow*>& rows);
  void decide_chunk(LiveRow* const* rows, int64_t count);
  void report(LiveRow* const* rows, const std::vector<int32_t>& drawn, bool at_one);
  void finish_rows();
  void score(LiveRow&&);
  void search(LiveRow&&);
  void leave(LiveRow&, const Job&);
  void forget(GroupState&);
  void tell_growth();

  Context context_;  // of the step that runs
  const Model& model_;
  const AdapterStack adapters_;
  const SessionOptions options_;
  const VocabularyBytes* vocabulary_;
  KvCache cache_;
  CandidateScoring scoring_;
  BeamSearch beam_;
  std::vector<Sampler> samplers_;  // one per worker
  std::list<GroupState> groups_;   // in the order they joined
  std::deque<GroupState*> waiting_;
  int32_t joined_ = 0;
  std::vector<LiveRow> rows_;  // in order of group and sample: siblings side by side
  std::vector<LiveRow> left_;  // done in this step
  SessionNews news_;
  Buffer hidden_, gathered_, logits_, lse_, entropy_, plain_logits_, plain_lse_;
};

}  // namespace reasonrec
