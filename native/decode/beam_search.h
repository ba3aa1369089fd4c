// Constrained beam search: which sequences of a trie (titles, each closed by its end tag) the model
// would write behind a finished sample, or in the place of its choice. Everything before the titles
// is computed once.
//
//   score(title) = sum over its tokens of log p(token | everything before), temperature 1
//
// p is over the whole vocabulary, so scores are joint log-probs and not normalised over the titles;
// BeamRequest::renormalise takes it over the tokens that the trie allows. No length penalty: a
// score never rises, which is why a hypothesis below the last of `width` ended titles can be
// dropped. Each step extends all hypotheses of one length by one token; of those that go on the
// best `width` are kept, and so are the best `width` titles that ended. Equal scores: smaller token
// ids first. With width >= the number of titles every title comes out, with the bits of
// candidate_scoring.h.
#pragma once
#include <unordered_map>
#include <utility>
#include <vector>

#include "decode/live_row.h"

namespace reasonrec {

// Throws RR_BEAM (no width, a sequence excluded that is not there), RR_TOKEN_OUT_OF_RANGE.
void check_beam(const BeamRequest&, int64_t vocabulary);

class BeamSearch {
 public:
  // max_rows: hypotheses that live at once; a beam that is wider runs alone.
  BeamSearch(const Context& context, const Model& model, const AdapterStack& adapters,
             bool share_prefix, int max_rows, KvCache& cache)
      : context_(context),
        model_(model),
        adapters_(adapters),
        share_prefix_(share_prefix),
        max_rows_(max_rows),
        cache_(cache) {}

  void add(LiveRow&& row);
  bool full() const { return queued_width_ >= max_rows_; }
  bool empty() const { return queue_.empty(); }
  // Searches everything queued; returns the rows, whose memory is the caller's.
  std::vector<LiveRow> run(const Job&);

 private:
  struct Hypothesis {
    double score = 0;
    int32_t node = Trie::kRoot;
    int32_t token = 0;   // the last one, not stored yet
    int64_t stored = 0;  // tokens before it
    KvSegment kv;        // none at the root
  };
  struct Extension {
    double score;
    int32_t parent, token, node;
  };
  struct Search {
    explicit Search(LiveRow&& r) : row(std::move(r)) {}
    const BeamRequest& request() const { return row.group->request->beam; }
    LiveRow row;
    std::vector<Hypothesis> live;
    std::vector<Extension> extensions;              // of this step
    std::vector<std::pair<double, int32_t>> ended;  // score and sequence, best first
    std::unordered_map<int32_t, int32_t> closed;    // excluded sequences that pass a node
  };
  struct Asked {  // a hypothesis and the row that predicts what follows it
    Search* search;
    int32_t hypothesis;
    const float* hidden;
  };
  void run_together(std::vector<Search*>&, const Job&);
  std::vector<Asked> forward(const std::vector<Search*>&);
  void expand(const std::vector<Asked>&);
  void expand_chunk(const Asked*, int64_t count);
  void select(Search&);
  static bool open(const Search&, int32_t node);

  const Context& context_;
  const Model& model_;
  const AdapterStack& adapters_;
  bool share_prefix_;
  int max_rows_;
  KvCache& cache_;
  std::vector<Search> queue_;
  int64_t queued_width_ = 0;
  Buffer hidden_, gathered_, logits_, lse_, entropy_;
};

}  // namespace reasonrec
