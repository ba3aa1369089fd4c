// The decoding loop: admit, forward, decide, leave. All live rows run as one batch; a prompt enters
// in the batch of its first samples' first step. What a row sees and draws is its own affair
// (backend.h, philox.h), so admission and batch order are free to follow efficiency.
#include "decode/session.h"

#include <algorithm>
#include <limits>
#include <map>

#include "core/philox.h"
#include "decode/head_rows.h"

namespace reasonrec {
namespace {

constexpr int64_t kPrefillRows = 1024;  // new prompt rows per step; a longer prompt goes alone
constexpr int64_t kLogitFloats = 16 * 1024 * 1024;  // floats of logits held at once

int64_t capacity(const GroupRequest& group, const std::vector<ScriptStep>& script,
                 const SampleRequest& sample) {
  return int64_t(sample.given.size()) + script_capacity(script, group.trie.get());
}

// The `count` largest logits as log-probs, falling; equal ones by id. A vocabulary of 150,000 is
// not sorted for twenty.
void likeliest(const float* logits, int64_t vocabulary, float lse, int count, int32_t* ids,
               float* logprobs) {
  int found = 0;
  for (int64_t id = 0; id < vocabulary && count > 0; ++id) {
    if (found == count && !(logits[id] > logits[ids[found - 1]])) continue;
    int at = found < count ? found++ : found - 1;
    for (; at > 0 && logits[id] > logits[ids[at - 1]]; --at) ids[at] = ids[at - 1];
    ids[at] = int32_t(id);
  }
  for (int i = 0; i < found; ++i) logprobs[i] = tempered_logprob(logits[ids[i]], 1.0f, lse);
}

// Nothing to tell of the tokens up to `tokens` that have nothing told yet.
void fill_report(SampleResult& result, int top, size_t tokens) {
  if (top < 0) return;
  result.plain_logprobs.resize(tokens, 0.0f);
  result.top_ids.resize(tokens * size_t(top), -1);
  result.top_logprobs.resize(tokens * size_t(top), -std::numeric_limits<float>::infinity());
}

template <class T>
std::vector<T> from(const std::vector<T>& values, size_t begin) {
  return {values.begin() + int64_t(std::min(begin, values.size())), values.end()};
}

}  // namespace

DecodeSession::DecodeSession(const Kernels& kernels, const Model& model,
                             const AdapterStack& adapters, const SessionOptions& options,
                             const VocabularyBytes* vocabulary)
    : model_(model),
      adapters_(adapters),
      options_(options),
      vocabulary_(vocabulary),
      cache_(model.config(), kernels.panel),
      scoring_(context_, model, adapters_, options.share_prefix, cache_),
      beam_(context_, model, adapters_, options.share_prefix, options.max_rows, cache_) {
  check(options.max_rows >= 1, "RR_BAD_ARGUMENT", "max_rows is too small", ">= 1",
        std::to_string(options.max_rows));
}

void DecodeSession::join(SessionGroup joining) {
  require(joining);
  const size_t samples = joining.request->samples.size();
  if (samples == 0) return;
  GroupState& group = groups_.emplace_back();
  group.id = joining.id;
  group.index = joined_++;
  group.request = std::move(joining.request);
  group.script = std::move(joining.script);
  group.seed = joining.seed;
  group.watched = joining.watched;
  group.results.resize(samples);
  group.told.resize(samples, 0);
  group.users = int64_t(samples);
  waiting_.push_back(&group);
}

void DecodeSession::require(const SessionGroup& joining) const {
  const GroupRequest& group = *joining.request;
  const ModelConfig& config = model_.config();
  check_script(*joining.script, vocabulary_, config.vocab);
  check(!group.prompt.empty(), "RR_PROMPT_EMPTY", "a prompt has no token", ">= 1 token", "0");
  check_tokens(group.prompt, config.vocab, "a prompt");
  check(group.top <= config.vocab, "RR_BAD_ARGUMENT", "top is larger than the vocabulary",
        "at most " + std::to_string(config.vocab), std::to_string(group.top));
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
  for (const ScriptStep& step : *joining.script)
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
        int64_t(group.prompt.size()) + capacity(group, *joining.script, sample) + longest_candidate;
    check(length <= config.max_position, "RR_PROMPT_TOO_LONG",
          "prompt, new tokens and the longest candidate do not fit the model's context",
          "at most " + std::to_string(config.max_position) + " tokens", std::to_string(length),
          "shorten the history or lower max_new");
  }
}

SessionNews DecodeSession::step(const Context& context, const Job& job) {
  context_ = context.polling(job);
  samplers_.resize(size_t(context.pool->size()));
  job.poll();
  admit();
  if (!rows_.empty()) forward(job);
  const bool last = options_.prompt || (rows_.empty() && waiting_.empty());
  if (scoring_.full() || (last && !scoring_.empty()))
    for (LiveRow& row : scoring_.run(job)) search(std::move(row));
  if (beam_.full() || (last && !beam_.empty()))
    for (LiveRow& row : beam_.run(job)) leave(row, job);
  for (LiveRow& row : left_) leave(row, job);
  left_.clear();
  tell_growth();
  return std::exchange(news_, {});
}

void DecodeSession::admit() {
  int64_t prefill = 0;
  while (!waiting_.empty()) {
    GroupState& group = *waiting_.front();
    if (int64_t(rows_.size()) >= options_.max_rows || scoring_.full() || beam_.full()) return;
    const bool prompt = !options_.share_prefix || group.next_sample == 0;
    const int64_t length = prompt ? int64_t(group.request->prompt.size()) : 0;
    if (prefill > 0 && prefill + length > kPrefillRows) return;
    prefill += length;
    start(group, group.next_sample++);
    if (size_t(group.next_sample) == group.results.size()) waiting_.pop_front();
  }
}

void DecodeSession::start(GroupState& group, int32_t sample) {
  const GroupRequest& request = *group.request;
  const SampleRequest& asked = request.samples[size_t(sample)];
  const int64_t length = int64_t(request.prompt.size()), layers = model_.config().layers;
  LiveRow row(group, sample,
              ScriptCursor(*group.script, request.trie.get(), vocabulary_, asked.given,
                           group.results[size_t(sample)]));
  const int64_t keys =
      capacity(request, *group.script, asked) + (options_.share_prefix ? 0 : length);
  if (options_.share_prefix && group.prompt.empty()) group.prompt = cache_.acquire(length, layers);
  if (keys > 0) row.kv = cache_.acquire(keys, layers);
  if (!row.cursor.done())
    rows_.push_back(std::move(row));
  else
    score(std::move(row));
}

void DecodeSession::forward(const Job& job) {
  DecodeBatch batch(model_.config().layers, options_.share_prefix);
  for (LiveRow& row : rows_) batch.add(row, false);
  batch.forward(context_, model_, adapters_, hidden_);

  // One head pass for each temperature and kind of decision: usually one in all.
  std::map<std::pair<float, bool>, std::vector<LiveRow*>> decisions;
  for (LiveRow& row : rows_)
    decisions[{row.cursor.sampling().inv_temperature(), row.cursor.restricted()}].push_back(&row);
  for (const auto& [kind, rows] : decisions) decide(rows);
  job.advance(0, int32_t(rows_.size()));
  finish_rows();
}

void DecodeSession::decide(const std::vector<LiveRow*>& rows) {
  const int64_t chunk = std::max<int64_t>(1, kLogitFloats / model_.config().vocab);
  for (int64_t i = 0; i < int64_t(rows.size()); i += chunk)
    decide_chunk(rows.data() + i, std::min(chunk, int64_t(rows.size()) - i));
}

// Rows of one temperature, all free or all restricted.
void DecodeSession::decide_chunk(LiveRow* const* rows, int64_t n) {
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
    const uint64_t stream = row.group->request->samples[size_t(row.sample_index)].stream;
    const double u = philox_uniform(row.group->seed, stream, uint64_t(tokens.size()));
    drawn[i] = samplers_[worker].draw(sampling, logits_.data() + i * v, ids, count, history.data(),
                                      int64_t(history.size()), u);
  });
  if (!rows[0]->cursor.restricted()) report(rows, drawn, inv_temperature == 1);
  for (int64_t i = 0; i < n; ++i) {
    const float logprob = tempered_logprob(logits_[i * v + drawn[i]], inv_temperature, lse_[i]);
    rows[i]->cursor.accept(drawn[i], logprob, entropy_[i]);
  }
}

// Log-probs at temperature 1 of what was drawn, and the likeliest tokens, for the rows that ask. At
// temperature 1 the pass just made has them; else the head runs once more over these rows.
void DecodeSession::report(LiveRow* const* rows, const std::vector<int32_t>& drawn, bool at_one) {
  const int64_t v = model_.config().vocab;
  std::vector<int64_t> asking;
  std::vector<const float*> sources;
  for (int64_t i = 0; i < int64_t(drawn.size()); ++i) {
    if (rows[i]->group->request->top < 0) continue;
    asking.push_back(i);
    sources.push_back(rows[i]->hidden);
  }
  const int64_t n = int64_t(asking.size());
  if (n == 0) return;
  if (!at_one) {
    const float* gathered = gather_hidden(gathered_, sources, model_.config().hidden);
    std::vector<float> entropy(size_t(n), 0.0f);
    plain_logits_.resize(n * v);
    plain_lse_.resize(n);
    head_logits(context_, model_, gathered, n, AllowedTokens{}, 1.0f, plain_logits_.data(),
                plain_lse_.data(), entropy.data());
  }
  context_.pool->parallel_for(n, [&](int64_t k, int) {
    const int64_t i = asking[size_t(k)];
    const int top = rows[i]->group->request->top;
    const float* logits = at_one ? logits_.data() + i * v : plain_logits_.data() + k * v;
    const float lse = at_one ? lse_[i] : plain_lse_[k];
    SampleResult& result = *rows[i]->result;
    const size_t at = result.tokens.size();
    fill_report(result, top, at + 1);
    result.plain_logprobs[at] = tempered_logprob(logits[drawn[size_t(i)]], 1.0f, lse);
    likeliest(logits, v, lse, top, result.top_ids.data() + at * size_t(top),
              result.top_logprobs.data() + at * size_t(top));
  });
}

void DecodeSession::finish_rows() {
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
void DecodeSession::score(LiveRow&& row) {
  if (!row.group->request->candidates.empty())
    scoring_.add(std::move(row));
  else
    search(std::move(row));
}

void DecodeSession::search(LiveRow&& row) {
  if (row.group->request->beam.trie)
    beam_.add(std::move(row));
  else
    left_.push_back(std::move(row));
}

void DecodeSession::leave(LiveRow& row, const Job& job) {
  GroupState& group = *row.group;
  cache_.release(std::move(row.kv));
  if (!group.dropped) {
    fill_report(*row.result, group.request->top, row.result->tokens.size());
    news_.finished.push_back({group.id, row.sample_index, std::move(*row.result)});
  }
  if (--group.users == 0) forget(group);
  job.advance(1);
}

void DecodeSession::forget(GroupState& group) {
  cache_.release(std::move(group.prompt));
  std::erase_if(waiting_, [&](const GroupState* waits) { return waits == &group; });
  groups_.remove_if([&](const GroupState& held) { return &held == &group; });
}

void DecodeSession::drop(int64_t id) {
  const auto found = std::find_if(groups_.begin(), groups_.end(),
                                  [&](const GroupState& g) { return g.id == id && !g.dropped; });
  if (found == groups_.end()) return;
  GroupState& group = *found;
  group.dropped = true;
  group.users -= int64_t(group.results.size()) - group.next_sample;  // never started
  std::erase_if(waiting_, [&](const GroupState* waits) { return waits == &group; });
  for (LiveRow& row : rows_)
    if (row.group == &group) {
      cache_.release(std::move(row.kv));
      --group.users;
    }
  std::erase_if(rows_, [&](const LiveRow& row) { return row.group == &group; });
  if (group.users == 0) forget(group);  // else its last rows are being scored, and then leave
}

void DecodeSession::tell_growth() {
  for (const LiveRow& row : rows_) {
    GroupState& group = *row.group;
    size_t& told = group.told[size_t(row.sample_index)];
    SampleResult& now = *row.result;
    if (!group.watched || told == now.tokens.size()) continue;
    const int top = group.request->top;
    fill_report(now, top, now.tokens.size());
    SampleResult more;
    more.tokens = from(now.tokens, told);
    more.kinds = from(now.kinds, told);
    more.logprobs = from(now.logprobs, told);
    more.entropies = from(now.entropies, told);
    more.plain_logprobs = from(now.plain_logprobs, told);
    more.top_ids = from(now.top_ids, told * size_t(std::max(0, top)));
    more.top_logprobs = from(now.top_logprobs, told * size_t(std::max(0, top)));
    told = now.tokens.size();
    news_.grown.push_back({group.id, row.sample_index, std::move(more)});
  }
}

}  // namespace reasonrec
