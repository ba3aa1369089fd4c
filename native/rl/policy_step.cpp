// A group is one segment tree, the one that decoding built: the prompt, and below it each
// completion. With the same tree, tiles and head, a token's log-prob has the bits it was sampled
// with.
//
// A completion of n tokens takes n - 1 rows: its first token is predicted by the prompt's last row
// and its last one predicts nothing. Where a trie leaves one token, its log-prob is 0 whatever the
// weights are: no head row, no gradient.
#include "rl/policy_step.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "train/packing.h"

namespace reasonrec {
namespace {

struct Unit {  // completions [first, last) of a group, computed as one tree
  size_t group, first, last;
};

struct Token {
  size_t flat;    // in the order of groups, completions, tokens
  int64_t head;   // row of the head, -1: the only token its trie node allows
  double weight;  // of the aggregation
  float advantage, old_logprob;
  bool on_policy;  // no old log-prob was given: the ratio is 1
  uint8_t treatment;
};

struct MicroBatch {
  Batch batch;
  HeadRows policy;  // at the sampling temperature
  std::vector<Token> tokens;
  std::vector<int64_t> lengths;      // tokens of each completion that has any
  std::vector<int64_t> group_sizes;  // such completions of each unit
  HeadRows sft;                      // at temperature 1, full vocabulary
  std::vector<float> sft_weights;
};

class PolicyStep {
 public:
  PolicyStep(const Context& context, TrainingPass& pass, const std::vector<PolicyGroup>& groups,
             const PolicyLossConfig& config, const std::vector<double>& weights, float temperature,
             const AdapterStack& reference, bool gradients, const Job& job)
      : context_(context.polling(job)),
        pass_(pass),
        groups_(groups),
        config_(config),
        weights_(weights),
        inv_temperature_(1.0f / temperature),
        reference_(reference),
        gradients_(gradients),
        job_(job) {
    check(std::isfinite(temperature) && temperature > 0, "RR_BAD_ARGUMENT",
          "the temperature must be positive", "> 0", std::to_string(temperature),
          "use 1 for completions that were drawn greedily");
    check(!needs_reference(config) || !pass.full(), "RR_NO_REFERENCE",
          "training every weight leaves no frozen model to compare with",
          "beta = 0 and a loss without a reference", std::to_string(config.beta),
          "train an adapter, or set the KL coefficient to 0");
    number_tokens();
  }
  PolicyResult run();

 private:
  void number_tokens();
  void check_completion(const PolicyGroup&, const PolicyCompletion&) const;
  std::vector<Unit> units() const;
  int64_t rows_of(const Unit&) const;
  int64_t rows_needed(const PolicyCompletion&) const;
  MicroBatch compose(const std::vector<Unit>&, const Run&) const;
  void add_heads(MicroBatch&, size_t group, size_t completion, int64_t prompt_row,
                 int64_t first_row) const;
  void run_batch(MicroBatch&);
  std::vector<float> reference_logprobs(MicroBatch&);

  const Context context_;
  TrainingPass& pass_;
  const std::vector<PolicyGroup>& groups_;
  const PolicyLossConfig& config_;
  const std::vector<double>& weights_;
  float inv_temperature_;
  const AdapterStack& reference_;
  bool gradients_;
  const Job& job_;
  std::vector<size_t> first_completion_;          // of each group, flat
  std::vector<std::vector<size_t>> first_token_;  // flat index of each completion's first token
  PolicyResult result_;
};

bool wanted(const PolicyCompletion& c, size_t t) {
  return c.mask[t] || (c.sft_weight > 0 && !c.sft_mask.empty() && c.sft_mask[t]);
}

void PolicyStep::check_completion(const PolicyGroup& group, const PolicyCompletion& c) const {
  const std::string n = std::to_string(c.ids.size());
  check(c.mask.size() == c.ids.size(), "RR_SHAPE_MISMATCH",
        "a completion needs one mask entry per token", n, std::to_string(c.mask.size()));
  check(c.old_logprobs.empty() || c.old_logprobs.size() == c.ids.size(), "RR_SHAPE_MISMATCH",
        "a completion needs one old log-prob per token, or none at all", n,
        std::to_string(c.old_logprobs.size()));
  check(c.sft_mask.empty() || c.sft_mask.size() == c.ids.size(), "RR_SHAPE_MISMATCH",
        "a completion needs one sft_mask entry per token", n, std::to_string(c.sft_mask.size()));
  check(std::isfinite(c.advantage) && std::isfinite(c.sft_weight), "RR_NON_FINITE",
        "an advantage or sft weight is not finite", "finite numbers", std::to_string(c.advantage));
  check(c.token_advantages.empty() || c.token_advantages.size() == c.ids.size(),
        "RR_SHAPE_MISMATCH", "a completion needs one advantage per token, or one for all", n,
        std::to_string(c.token_advantages.size()));
  check(c.treatment.empty() || c.treatment.size() == c.ids.size(), "RR_SHAPE_MISMATCH",
        "a completion needs one treatment per token, or none at all", n,
        std::to_string(c.treatment.size()));
  for (size_t t = 0; t < c.token_advantages.size(); ++t)
    if (c.mask[t] && !std::isfinite(c.token_advantages[t]))
      throw Error("RR_NON_FINITE", "a token's advantage is not finite", "a finite number",
                  std::to_string(c.token_advantages[t]));
  for (size_t t = 0; t < c.old_logprobs.size(); ++t)
    if (c.mask[t] && !std::isfinite(c.old_logprobs[t]))
      throw Error("RR_NON_FINITE", "an old log-prob is not finite", "a finite log-prob",
                  std::to_string(c.old_logprobs[t]));
  check(c.trie_begin < 0 || group.trie, "RR_BAD_ARGUMENT",
        "tokens were chosen from a trie that was not given", "the group's trie", "none");
  check_sequence(pass_.model, c.ids, int64_t(group.prompt.size() + c.ids.size()), "a completion");
}

void PolicyStep::number_tokens() {
  size_t completions = 0, tokens = 0;
  for (const PolicyGroup& group : groups_) {
    check(!group.prompt.empty(), "RR_PROMPT_EMPTY", "a group's prompt has no token", ">= 1 token",
          "0");
    check_sequence(pass_.model, group.prompt, int64_t(group.prompt.size()), "a prompt");
    first_completion_.push_back(completions);
    first_token_.emplace_back();
    for (const PolicyCompletion& c : group.completions) {
      check_completion(group, c);
      first_token_.back().push_back(tokens);
      tokens += c.ids.size();
    }
    completions += group.completions.size();
  }
  check(weights_.size() == completions, "RR_SHAPE_MISMATCH",
        "there must be one aggregation weight per completion", std::to_string(completions),
        std::to_string(weights_.size()));
  result_.logprobs.assign(tokens, 0.0f);
  result_.entropies.assign(tokens, 0.0f);
  if (needs_reference(config_)) result_.reference_logprobs.assign(tokens, 0.0f);
  job_.total(int32_t(completions));
}

// A preference compares a group's completions: they stay together.
std::vector<Unit> PolicyStep::units() const {
  const bool whole = pass_.options.share_prefix || is_preference(config_.loss);
  std::vector<Unit> units;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const size_t n = groups_[g].completions.size();
    if (whole && n > 0) units.push_back({g, 0, n});
    for (size_t c = 0; !whole && c < n; ++c) units.push_back({g, c, c + 1});
  }
  return units;
}

// Rows of a completion of its own (the prompt's last row predicts its first token), -1: it carries
// no loss.
int64_t PolicyStep::rows_needed(const PolicyCompletion& c) const {
  for (size_t t = c.ids.size(); t-- > 0;)
    if (wanted(c, t)) return int64_t(t);
  return -1;
}

int64_t PolicyStep::rows_of(const Unit& unit) const {
  int64_t rows = 0, carriers = 0;
  for (size_t c = unit.first; c < unit.last; ++c) {
    const int64_t own = rows_needed(groups_[unit.group].completions[c]);
    rows += std::max<int64_t>(0, own);
    carriers += own >= 0 ? 1 : 0;
  }
  if (pass_.options.share_prefix) carriers = std::min<int64_t>(carriers, 1);
  return rows + carriers * int64_t(groups_[unit.group].prompt.size());
}

MicroBatch PolicyStep::compose(const std::vector<Unit>& units, const Run& run) const {
  MicroBatch m;
  m.policy.inv_temperature = inv_temperature_;
  for (size_t u = run.first; u < run.last; ++u) {
    const Unit& unit = units[u];
    if (rows_of(unit) == 0) continue;
    const PolicyGroup& group = groups_[unit.group];
    const int64_t length = int64_t(group.prompt.size());
    int32_t prompt = -1;
    if (pass_.options.share_prefix) prompt = m.batch.append(group.prompt.data(), length, -1, 0);
    int64_t prompt_row = m.batch.rows() - 1;
    const size_t sequences = m.lengths.size();
    for (size_t c = unit.first; c < unit.last; ++c) {
      const PolicyCompletion& completion = group.completions[c];
      const int64_t own = rows_needed(completion);
      if (own < 0) continue;
      int64_t first_row = m.batch.rows();
      if (pass_.options.share_prefix) {
        if (own > 0) m.batch.append(completion.ids.data(), own, prompt, int32_t(length));
      } else {
        std::vector<int32_t> ids = group.prompt;
        ids.insert(ids.end(), completion.ids.begin(), completion.ids.begin() + own);
        m.batch.append(ids.data(), int64_t(ids.size()), -1, 0);
        first_row += length;
        prompt_row = first_row - 1;
      }
      const size_t tokens = m.tokens.size();
      add_heads(m, unit.group, c, prompt_row, first_row);
      if (m.tokens.size() > tokens) m.lengths.push_back(int64_t(m.tokens.size() - tokens));
    }
    m.group_sizes.push_back(int64_t(m.lengths.size() - sequences));
  }
  return m;
}

void PolicyStep::add_heads(MicroBatch& m, size_t g, size_t c, int64_t prompt_row,
                           int64_t first_row) const {
  const PolicyCompletion& completion = groups_[g].completions[c];
  const Trie* trie = groups_[g].trie.get();
  int32_t node = Trie::kRoot;
  for (size_t t = 0; t < completion.ids.size(); ++t) {
    const int64_t row = t == 0 ? prompt_row : first_row + int64_t(t) - 1;
    const int32_t token = completion.ids[t];
    int64_t allowed = 0;
    const int32_t* ids = nullptr;
    if (completion.trie_begin >= 0 && int64_t(t) >= completion.trie_begin && trie->leaf(node) < 0) {
      ids = trie->tokens(node, &allowed);
      node = trie->next(node, token);
      if (node < 0)
        throw Error("RR_TRIE_MISMATCH", "a completion leaves the trie it was chosen from",
                    "a token that the trie allows",
                    "token " + std::to_string(token) + " at index " + std::to_string(t));
    }
    if (completion.mask[t]) {
      Token k{first_token_[g][c] + t,
              -1,
              weights_[first_completion_[g] + c],
              completion.advantage,
              0,
              false,
              kTokenPlain};
      if (!completion.token_advantages.empty()) k.advantage = completion.token_advantages[t];
      if (!completion.treatment.empty()) k.treatment = completion.treatment[t];
      k.on_policy = completion.old_logprobs.empty();
      if (!k.on_policy) k.old_logprob = completion.old_logprobs[t];
      if (allowed != 1) {
        k.head = m.policy.size();
        if (ids)
          m.policy.add(row, token, ids, allowed);
        else
          m.policy.add(row, token);
      }
      m.tokens.push_back(k);
    }
    if (completion.sft_weight > 0 && !completion.sft_mask.empty() && completion.sft_mask[t]) {
      m.sft.add(row, token);
      m.sft_weights.push_back(completion.sft_weight);
    }
  }
}

// The reference's log-prob of every token of the batch; activations are not kept.
std::vector<float> PolicyStep::reference_logprobs(MicroBatch& m) {
  HeadRows head;
  head.rows = m.policy.rows;
  head.targets = m.policy.targets;
  head.allowed = m.policy.allowed;
  head.inv_temperature = inv_temperature_;
  pass_.forward(context_, reference_, m.batch, false);
  job_.poll();
  pass_.head_forward(context_, head, false);
  std::vector<float> out;
  for (const Token& k : m.tokens) out.push_back(k.head < 0 ? 0.0f : head.logprob[k.head]);
  return out;
}

void PolicyStep::run_batch(MicroBatch& m) {
  const size_t n = m.tokens.size();
  PolicyTokens tokens;
  if (needs_reference(config_)) tokens.reference = reference_logprobs(m);
  pass_.saved.recompute = pass_.options.recompute;
  pass_.saved.dropout = 0;
  pass_.forward(context_, pass_.stack(), m.batch, gradients_);
  job_.poll();
  pass_.head_forward(context_, m.policy, true);
  pass_.head_forward(context_, m.sft, false);

  for (size_t i = 0; i < n; ++i) {
    const Token& k = m.tokens[i];
    const float logprob = k.head < 0 ? 0.0f : m.policy.logprob[k.head];
    const float entropy = k.head < 0 ? 0.0f : m.policy.entropy[k.head];
    tokens.logprob.push_back(logprob);
    tokens.entropy.push_back(entropy);
    tokens.old_logprob.push_back(k.on_policy ? logprob : k.old_logprob);
    tokens.advantage.push_back(k.advantage);
    tokens.weight.push_back(k.weight);
    tokens.treatment.push_back(k.treatment);
    result_.logprobs[k.flat] = logprob;
    result_.entropies[k.flat] = entropy;
    if (needs_reference(config_)) result_.reference_logprobs[k.flat] = tokens.reference[i];
  }
  tokens.lengths = m.lengths;
  tokens.group_sizes = m.group_sizes;
  std::vector<float> dlogprob(n, 0.0f);
  const PolicyLossSums sums = policy_loss(config_, tokens, dlogprob.data());
  add(result_.sums, sums);
  for (int64_t i = 0; i < m.sft.size(); ++i)
    result_.sft_loss -= double(m.sft_weights[i]) * double(m.sft.logprob[i]);
  if (!gradients_) return;

  std::vector<float> head_dlogprob(size_t(m.policy.size()), 0.0f), head_dentropy, sft_dlogprob;
  if (config_.entropy_bonus != 0) head_dentropy.assign(size_t(m.policy.size()), 0.0f);
  bool any = m.sft.size() > 0 || config_.entropy_bonus != 0;
  for (size_t i = 0; i < n; ++i) {
    const int64_t head = m.tokens[i].head;
    if (head < 0) continue;
    head_dlogprob[head] = dlogprob[i];
    any = any || dlogprob[i] != 0;
    if (!head_dentropy.empty())
      head_dentropy[head] = float(-double(config_.entropy_bonus) * m.tokens[i].weight);
  }
  if (!any) return;  // no token moves: advantages 0, or everything clipped
  for (float w : m.sft_weights) sft_dlogprob.push_back(-w);
  pass_.zero_dhidden(m.batch.rows());
  pass_.head_backward(context_, m.policy, head_dlogprob.data(),
                      head_dentropy.empty() ? nullptr : head_dentropy.data());
  pass_.head_backward(context_, m.sft, sft_dlogprob.data(), nullptr);
  job_.poll();
  pass_.backward(context_, m.batch);
}

PolicyResult PolicyStep::run() {
  const std::vector<Unit> all = units();
  std::vector<int64_t> rows;
  for (const Unit& u : all) rows.push_back(rows_of(u));
  for (const Run& r : pack_in_order(rows, pass_.options.token_budget)) {
    job_.poll();
    MicroBatch m = compose(all, r);
    if (m.batch.rows() > 0) run_batch(m);
    if (gradients_) pass_.step_rows += m.batch.rows();
    result_.rows += m.batch.rows();
    int32_t completions = 0;
    for (size_t u = r.first; u < r.last; ++u) completions += int32_t(all[u].last - all[u].first);
    job_.advance(completions, int32_t(m.batch.rows()));
  }
  return std::move(result_);
}

}  // namespace

PolicyResult policy_step(const Context& context, TrainingPass& pass,
                         const std::vector<PolicyGroup>& groups, const PolicyLossConfig& config,
                         const std::vector<double>& weights, float temperature,
                         const AdapterStack& reference, bool gradients, const Job& job) {
  return PolicyStep(context, pass, groups, config, weights, temperature, reference, gradients, job)
      .run();
}

}  // namespace reasonrec
