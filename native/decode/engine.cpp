// The decoding loop: admit, forward, decide, leave. All live rows run as one batch; a prompt enters
// in the batch of its first samples' first step. What a row sees and draws is its own affair
// (backend.h, philox.h), so admission and batch order are free to follow efficiency.
#include "decode/engine.h"

#include <algorithm>
#include <map>

#include "core/philox.h"
#include "decode/beam_search.h"
#include "decode/candidate_scoring.h"
#include "decode/head_rows.h"
#include "decode/live_row.h"

namespace reasonrec {
namespace {

constexpr int64_t kPrefillRows = 1024;  // new prompt rows per step; a longer prompt goes alone
constexpr int64_t kLogitFloats = 16 * 1024 * 1024;  // floats of logits held at once

class Engine {
 public:
  Engine(const Context& context, const Model& model, const AdapterStack& adapters,
         const std::vector<GroupRequest>& groups, const std::vector<ScriptStep>& script,
         const DecodeOptions& options, const VocabularyBytes* vocabulary, const Job& job)
      : context_(context.polling(job)),
        model_(model),
        adapters_(adapters),
        script_(script),
        options_(options),
        vocabulary_(vocabulary),
        job_(job),
        cache_(model.config(), context.kernels->panel),
        scoring_(context_, model, adapters, options.share_prefix, cache_),
        beam_(context_, model, adapters, options.share_prefix, options.max_rows, cache_),
        samplers_(size_t(context.pool->size())) {
    check(options.max_rows >= 1, "RR_BAD_ARGUMENT", "max_rows is too small", ">= 1",
          std::to_string(options.max_rows));
    check_script(script, vocabulary, model.config().vocab);
    groups_.resize(groups.size());
    results_.resize(groups.size());
    int64_t samples = 0;
    for (size_t g = 0; g < groups.size(); ++g) {
      check_group(groups[g]);
      groups_[g].request = &groups[g];
      groups_[g].users = int64_t(groups[g].samples.size());
      results_[g].resize(groups[g].samples.size());
      samples += groups_[g].users;
    }
    job.total(int32_t(samples));
  }

  std::vector<std::vector<SampleResult>> run() {
    for (;;) {
      job_.poll();
      admit();
      if (!rows_.empty()) step();
      const bool idle = rows_.empty() && next_group_ == groups_.size();
      if (scoring_.full() || (idle && !scoring_.empty()))
        for (LiveRow& row : scoring_.run(job_)) search(std::move(row));
      if (beam_.full() || (idle && !beam_.empty()))
        for (LiveRow& row : beam_.run(job_)) leave(row);
      if (idle) return std::move(results_);
    }
  }

 private:
  void check_group(const GroupRequest&) const;
  void admit();
  void start(size_t group, size_t sample);
  void step();
  void decide(const std::vector<LiveRow*>& rows);
  void decide_chunk(LiveRow* const* rows, int64_t count);
  void finish_rows();
  void score(LiveRow&&);
  void search(LiveRow&&);
  void leave(LiveRow&);
  int64_t capacity(const GroupRequest& group, const SampleRequest& sample) const {
    return int64_t(sample.given.size()) + script_capacity(script_, group.trie.get());
  }

  const Context context_;
  const Model& model_;
  const AdapterStack& adapters_;
  const std::vector<ScriptStep>& script_;
  const DecodeOptions& options_;
  const VocabularyBytes* vocabulary_;
  const Job& job_;
  KvCache cache_;
  CandidateScoring scoring_;
  BeamSearch beam_;
  std::vector<Sampler> samplers_;  // one per worker
  std::vector<GroupState> groups_;
  std::vector<std::vector<SampleResult>> results_;
  size_t next_group_ = 0, next_sample_ = 0;  // first sample that waits
  std::vector<LiveRow> rows_;                // in order of group and sample: siblings side by side
  Buffer hidden_, gathered_, logits_, lse_, entropy_;
};

void Engine::check_group(const GroupRequest& group) const {
  const ModelConfig& config = model_.config();
  check(!group.prompt.empty(), "RR_PROMPT_EMPTY", "a prompt has no token", ">= 1 token", "0");
  check_tokens(group.prompt, config.vocab, "a prompt");
  int64_t longest_candidate = 0;
  for (const auto& c : group.candidates) {
    check(!c.empty(), "RR_CANDIDATE_EMPTY", "a candidate has no token", ">= 1 token", "0");
    check_tokens(c, config.vocab, "a candidate");
    longest_candidate = std::max(longest_candidate, int64_t(c.size()));
  }
  if (group.beam.trie) {
    check_beam(group.beam, config.vocab);
    longest_candidate = std::max(longest_candidate, group.beam.trie->depth());
  }
  for (const ScriptStep& step : script_)
    check(step.kind != StepKind::kChoose || group.trie, "RR_SCRIPT",
          "a choose step needs the group's trie", "a trie", "none");
  if (group.trie)
    check(
        group.trie->min_token() >= 0 && group.trie->max_token() < config.vocab,
        "RR_TOKEN_OUT_OF_RANGE", "a trie holds a token outside the vocabulary",
        "0 to " + std::to_string(config.vocab - 1),
        std::to_string(group.trie->min_token()) + " to " + std::to_string(group.trie->max_token()));
  for (const SampleRequest& sample : group.samples) {
    check_tokens(sample.given, config.vocab, "a sample's given tokens");
    const int64_t length =
        int64_t(group.prompt.size()) + capacity(group, sample) + longest_candidate;
    check(length <= config.max_position, "RR_PROMPT_TOO_LONG",
          "prompt, new tokens and the longest candidate do not fit the model's context",
          "at most " + std::to_string(config.max_position) + " tokens", std::to_string(length),
          "shorten the history or lower max_new");
  }
}

void Engine::admit() {
  int64_t prefill = 0;
  while (next_group_ < groups_.size()) {
    GroupState& group = groups_[next_group_];
    if (next_sample_ >= group.request->samples.size()) {
      ++next_group_;
      next_sample_ = 0;
      continue;
    }
    if (int64_t(rows_.size()) >= options_.max_rows || scoring_.full() || beam_.full()) return;
    const bool prompt = !options_.share_prefix || next_sample_ == 0;
    const int64_t length = prompt ? int64_t(group.request->prompt.size()) : 0;
    if (prefill > 0 && prefill + length > kPrefillRows) return;
    prefill += length;
    start(next_group_, next_sample_++);
  }
}

void Engine::start(size_t g, size_t s) {
  GroupState& group = groups_[g];
  const GroupRequest& request = *group.request;
  const int64_t length = int64_t(request.prompt.size());
  SampleResult& result = results_[g][s];
  ScriptCursor cursor(script_, request.trie.get(), vocabulary_, request.samples[s].given, result);
  LiveRow row(group, int32_t(g), int32_t(s), result, std::move(cursor));
  const int64_t keys = capacity(request, request.samples[s]) + (options_.share_prefix ? 0 : length);
  if (options_.share_prefix && group.prompt.empty())
    group.prompt = cache_.acquire(length, model_.config().layers);
  if (keys > 0) row.kv = cache_.acquire(keys, model_.config().layers);
  if (!row.cursor.done())
    rows_.push_back(std::move(row));
  else
    score(std::move(row));
}

void Engine::step() {
  DecodeBatch batch(model_.config().layers, options_.share_prefix);
  for (LiveRow& row : rows_) batch.add(row, false);
  batch.forward(context_, model_, adapters_, hidden_);

  // One head pass for each temperature and kind of decision: usually one in all.
  std::map<std::pair<float, bool>, std::vector<LiveRow*>> decisions;
  for (LiveRow& row : rows_)
    decisions[{row.cursor.sampling().inv_temperature(), row.cursor.restricted()}].push_back(&row);
  for (const auto& [kind, rows] : decisions) decide(rows);
  job_.advance(0, int32_t(rows_.size()));
  finish_rows();
}

void Engine::decide(const std::vector<LiveRow*>& rows) {
  const int64_t chunk = std::max<int64_t>(1, kLogitFloats / model_.config().vocab);
  for (int64_t i = 0; i < int64_t(rows.size()); i += chunk)
    decide_chunk(rows.data() + i, std::min(chunk, int64_t(rows.size()) - i));
}

// Rows of one temperature, all free or all restricted.
void Engine::decide_chunk(LiveRow* const* rows, int64_t n) {
  const int64_t v = model_.config().vocab;
  const float inv_temperature = rows[0]->cursor.sampling().inv_temperature();
  std::vector<const float*> sources;
  AllowedRows allowed;
  for (int64_t i = 0; i < n; ++i) {
    sources.push_back(rows[i]->hidden);
    if (!rows[i]->cursor.restricted()) continue;
    int64_t count = 0;
    const int32_t* ids = rows[i]->cursor.allowed(&count);
    allowed.add(ids, count);
  }
  const float* gathered = gather_hidden(gathered_, sources, model_.config().hidden);
  logits_.resize(n * v);
  lse_.resize(n);
  entropy_.resize(n);
  head_logits(context_, model_, gathered, n, allowed.view(), inv_temperature, logits_.data(),
              lse_.data(), entropy_.data());

  std::vector<int32_t> drawn(size_t(n), 0);
  context_.pool->parallel_for(n, [&](int64_t i, int worker) {
    const LiveRow& row = *rows[i];
    const Sampling& sampling = row.cursor.sampling();
    const auto& tokens = row.result->tokens;
    int64_t count = v;
    const int32_t* ids = row.cursor.restricted() ? row.cursor.allowed(&count) : nullptr;
    std::vector<int32_t> history;
    if (sampling.repetition_penalty != 1) {
      history = row.group->request->prompt;
      history.insert(history.end(), tokens.begin(), tokens.end());
    }
    const uint64_t stream = row.group->request->samples[row.sample_index].stream;
    const double u = philox_uniform(options_.seed, stream, uint64_t(tokens.size()));
    drawn[i] = samplers_[worker].draw(sampling, logits_.data() + i * v, ids, count, history.data(),
                                      int64_t(history.size()), u);
  });
  for (int64_t i = 0; i < n; ++i) {
    const float logprob = tempered_logprob(logits_[i * v + drawn[i]], inv_temperature, lse_[i]);
    rows[i]->cursor.accept(drawn[i], logprob, entropy_[i]);
  }
}

void Engine::finish_rows() {
  size_t kept = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    LiveRow& row = rows_[i];
    if (!row.cursor.done()) {
      if (kept != i) rows_[kept] = std::move(row);
      ++kept;
    } else {
      score(std::move(row));
    }
  }
  rows_.erase(rows_.begin() + int64_t(kept), rows_.end());
}

// What follows a finished script: candidates, then the beam.
void Engine::score(LiveRow&& row) {
  if (!row.group->request->candidates.empty())
    scoring_.add(std::move(row));
  else
    search(std::move(row));
}

void Engine::search(LiveRow&& row) {
  if (row.group->request->beam.trie)
    beam_.add(std::move(row));
  else
    leave(row);
}

void Engine::leave(LiveRow& row) {
  cache_.release(std::move(row.kv));
  GroupState& group = *row.group;
  if (--group.users == 0) {
    cache_.release(std::move(group.prompt));
    group.last_hidden = {};
  }
  job_.advance(1);
}

}  // namespace

std::vector<std::vector<SampleResult>> generate(const Context& context, const Model& model,
                                                const AdapterStack& adapters,
                                                const std::vector<GroupRequest>& groups,
                                                const std::vector<ScriptStep>& script,
                                                const DecodeOptions& options,
                                                const VocabularyBytes* vocabulary, const Job& job) {
  return Engine(context, model, adapters, groups, script, options, vocabulary, job).run();
}

}  // namespace reasonrec
