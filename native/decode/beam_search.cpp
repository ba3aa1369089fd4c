// A hypothesis is a segment of its own below the sample, as a candidate is when it is scored: hence
// the same bits. Hypotheses that part copy the keys of the few title tokens that they share.
#include "decode/beam_search.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/check.h"
#include "decode/head_rows.h"

namespace reasonrec {
namespace {

constexpr int64_t kBatchRows = 1024;                // of the first step, prompts included
constexpr int64_t kLogitFloats = 16 * 1024 * 1024;  // floats of logits held at once

}  // namespace

void check_beam(const BeamRequest& beam, int64_t vocabulary) {
  check(beam.width >= 1, "RR_BEAM", "a beam has no width", ">= 1", std::to_string(beam.width));
  for (const int32_t sequence : beam.excluded)
    check(sequence >= 0 && sequence < beam.trie->size(), "RR_BEAM",
          "a beam excludes a sequence that its trie does not hold",
          "0 to " + std::to_string(beam.trie->size() - 1), std::to_string(sequence));
  check(beam.trie->min_token() >= 0 && beam.trie->max_token() < vocabulary, "RR_TOKEN_OUT_OF_RANGE",
        "a beam's trie holds a token outside the vocabulary",
        "0 to " + std::to_string(vocabulary - 1),
        std::to_string(beam.trie->min_token()) + " to " + std::to_string(beam.trie->max_token()));
}

void BeamSearch::add(LiveRow&& row) {
  if (row.cursor.choice_begin() >= 0) row.scored = row.cursor.choice_begin();
  // The row that predicts the first token of a title is computed again (the same bits): others have
  // used the memory of its hidden state since.
  const int64_t total = (share_prefix_ ? 0 : row.prompt_length()) + row.length();
  row.stored = std::max<int64_t>(0, std::min(row.stored, total - 1));
  Search search(std::move(row));
  const BeamRequest& beam = search.request();
  std::vector<int32_t> excluded = beam.excluded;
  std::sort(excluded.begin(), excluded.end());
  excluded.erase(std::unique(excluded.begin(), excluded.end()), excluded.end());
  for (const int32_t sequence : excluded)
    for (int32_t node = beam.trie->node_of(sequence); node >= 0; node = beam.trie->parent(node))
      ++search.closed[node];
  search.live.emplace_back();
  queued_width_ += beam.width;
  queue_.push_back(std::move(search));
}

bool BeamSearch::open(const Search& search, int32_t node) {
  const auto closed = search.closed.find(node);
  return closed == search.closed.end() || closed->second < search.request().trie->leaves(node);
}

std::vector<LiveRow> BeamSearch::run(const Job& job) {
  std::sort(queue_.begin(), queue_.end(),
            [](const Search& a, const Search& b) { return a.row.before(b.row); });
  for (size_t begin = 0; begin < queue_.size();) {
    std::vector<Search*> together;
    int64_t width = 0, rows = 0;
    while (begin < queue_.size()) {
      width += queue_[begin].request().width;
      rows += DecodeBatch(1, share_prefix_).rows_of(queue_[begin].row);
      if (!together.empty() && (width > max_rows_ || rows > kBatchRows)) break;
      together.push_back(&queue_[begin++]);
    }
    run_together(together, job);
  }
  std::vector<LiveRow> done;
  for (Search& s : queue_) {
    SampleResult& result = *s.row.result;
    const size_t width = size_t(s.request().width);
    result.beam.assign(width, -1);
    result.beam_scores.assign(width, -std::numeric_limits<double>::infinity());
    for (size_t i = 0; i < s.ended.size(); ++i) {
      result.beam_scores[i] = s.ended[i].first;
      result.beam[i] = s.ended[i].second;
    }
    done.push_back(std::move(s.row));
  }
  queue_.clear();
  queued_width_ = 0;
  return done;
}

void BeamSearch::run_together(std::vector<Search*>& searches, const Job& job) {
  while (!searches.empty()) {
    job.poll();
    expand(forward(searches));
    for (Search* s : searches) select(*s);
    searches.erase(std::remove_if(searches.begin(), searches.end(),
                                  [](const Search* s) { return s->live.empty(); }),
                   searches.end());
  }
}

std::vector<BeamSearch::Asked> BeamSearch::forward(const std::vector<Search*>& searches) {
  DecodeBatch batch(model_.config().layers, share_prefix_);
  std::vector<int64_t> rows;  // of all hypotheses but roots
  for (Search* s : searches) {
    batch.add(s->row, true);
    for (Hypothesis& h : s->live)
      if (h.node != Trie::kRoot)
        rows.push_back(batch.add_candidate(s->row, &h.token, 1, h.kv, h.stored));
  }
  batch.forward(context_, model_, adapters_, hidden_);
  std::vector<Asked> asked;
  size_t next = 0;
  for (Search* s : searches)
    for (size_t i = 0; i < s->live.size(); ++i) {
      Hypothesis& h = s->live[i];
      const bool root = h.node == Trie::kRoot;
      const float* hidden =
          root ? s->row.hidden : hidden_.data() + rows[next++] * model_.config().hidden;
      if (!root) ++h.stored;
      asked.push_back({s, int32_t(i), hidden});
    }
  return asked;
}

void BeamSearch::expand(const std::vector<Asked>& asked) {
  const int64_t chunk = std::max<int64_t>(1, kLogitFloats / model_.config().vocab);
  for (int64_t i = 0; i < int64_t(asked.size()); i += chunk)
    expand_chunk(asked.data() + i, std::min(chunk, int64_t(asked.size()) - i));
}

void BeamSearch::expand_chunk(const Asked* asked, int64_t n) {
  const int64_t v = model_.config().vocab;
  std::vector<const float*> sources;
  AllowedRows allowed;
  for (int64_t i = 0; i < n; ++i) {
    const Search& s = *asked[i].search;
    const Trie& trie = *s.request().trie;
    const int32_t node = s.live[asked[i].hypothesis].node;
    sources.push_back(asked[i].hidden);
    if (!s.request().renormalise) {
      allowed.add_all();
      continue;
    }
    int64_t count = 0;
    const int32_t* ids = trie.tokens(node, &count);
    std::vector<int32_t> kept;
    for (int64_t c = 0; c < count; ++c)
      if (open(s, trie.child(node, c))) kept.push_back(ids[c]);
    allowed.add(kept.data(), int64_t(kept.size()));
  }
  const float* gathered = gather_hidden(gathered_, sources, model_.config().hidden);
  logits_.resize(n * v);
  lse_.resize(n);
  entropy_.resize(n);
  head_logits(context_, model_, gathered, n, allowed.view(), 1.0f, logits_.data(), lse_.data(),
              entropy_.data());
  for (int64_t i = 0; i < n; ++i) {
    Search& s = *asked[i].search;
    const Trie& trie = *s.request().trie;
    const Hypothesis& h = s.live[asked[i].hypothesis];
    int64_t count = 0;
    const int32_t* ids = trie.tokens(h.node, &count);
    for (int64_t c = 0; c < count; ++c) {
      const int32_t child = trie.child(h.node, c);
      if (!open(s, child)) continue;
      const double score = h.score + tempered_logprob(logits_[i * v + ids[c]], 1.0f, lse_[i]);
      if (trie.leaf(child) >= 0)
        s.ended.push_back({score, trie.leaf(child)});
      else
        s.extensions.push_back({score, asked[i].hypothesis, ids[c], child});
    }
  }
}

// The best of what ended and of what goes on. Nodes of one depth are numbered in the order of their
// token ids.
void BeamSearch::select(Search& s) {
  const Trie& trie = *s.request().trie;
  const size_t width = size_t(s.request().width);
  std::sort(s.ended.begin(), s.ended.end(), [&](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : trie.place(a.second) < trie.place(b.second);
  });
  if (s.ended.size() > width) s.ended.resize(width);
  if (s.ended.size() == width) {
    const double last = s.ended.back().first;
    s.extensions.erase(std::remove_if(s.extensions.begin(), s.extensions.end(),
                                      [&](const Extension& e) { return e.score < last; }),
                       s.extensions.end());
  }
  const size_t kept = std::min(width, s.extensions.size());
  std::partial_sort(s.extensions.begin(), s.extensions.begin() + int64_t(kept), s.extensions.end(),
                    [](const Extension& a, const Extension& b) {
                      return a.score != b.score ? a.score > b.score : a.node < b.node;
                    });
  s.extensions.resize(kept);

  std::vector<int> heirs(s.live.size(), 0);
  for (const Extension& e : s.extensions) ++heirs[e.parent];
  std::vector<Hypothesis> next;
  for (const Extension& e : s.extensions) {
    Hypothesis& parent = s.live[e.parent];
    Hypothesis h;
    h.score = e.score;
    h.node = e.node;
    h.token = e.token;
    h.stored = parent.stored;
    const bool last_heir = --heirs[e.parent] == 0;
    if (parent.kv.empty())
      h.kv = cache_.acquire(trie.depth(), model_.config().layers);
    else
      h.kv = last_heir ? std::move(parent.kv) : cache_.copy(parent.kv);
    next.push_back(std::move(h));
  }
  for (Hypothesis& h : s.live) cache_.release(std::move(h.kv));
  s.live = std::move(next);
  s.extensions.clear();
}

}  // namespace reasonrec
