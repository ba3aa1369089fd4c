// A tiny policy to sample from and to train: a decoder with an adapter, prompts of chosen lengths,
// a trie of titles, and the way from decoded samples to a policy step.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "decode/engine.h"
#include "tiny_decoder.h"
#include "train/trainer.h"

namespace reasonrec::test {

// The vocabulary takes two tiles of the head; qkv biases, grouped heads and a tied head as in
// Qwen2.
inline ModelConfig policy_config(Compute compute = Compute::kF32) {
  ModelConfig c;
  c.compute = compute;
  c.family = "qwen2";
  c.hidden = 24;
  c.intermediate = 40;
  c.layers = 2;
  c.vocab = 600;
  c.max_position = 256;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 6;
  c.qkv_bias = c.tied_head = true;
  return c;
}

struct TinyPolicy {
  TestContext context;
  ModelConfig config;
  std::unique_ptr<Model> model;
  std::unique_ptr<Adapter> adapter;

  explicit TinyPolicy(const Kernels& kernels, int threads = 2, uint64_t seed = 11,
                      Compute compute = Compute::kF32)
      : context(kernels, threads),
        config(policy_config(compute)),
        model(tiny_model(context, config, seed)),
        adapter(tiny_adapter(context, config, 3, seed + 5)) {}
  AdapterStack stack() const { return {nullptr, adapter.get()}; }
};

inline std::vector<std::vector<int32_t>> tiny_titles() {
  // A shared beginning, a node with one child, branches at several depths, a title of one token.
  return {{100, 7, 9, 3}, {100, 7, 8, 4, 3}, {100, 550, 3}, {101, 102, 103, 3}, {250, 3}, {5}};
}

inline GroupRequest tiny_group(Random& random, const ModelConfig& config, int64_t prompt,
                               int samples, uint64_t stream,
                               const std::shared_ptr<const Trie>& trie = nullptr) {
  GroupRequest group;
  group.prompt = random_ids(random, config, prompt);
  for (int i = 0; i < samples; ++i) group.samples.push_back({stream + uint64_t(i), {}});
  group.trie = trie;
  return group;
}

inline ScriptStep free_step(int max_new, float temperature = 1) {
  ScriptStep step;
  step.max_new = max_new;
  step.sampling.temperature = temperature;
  return step;
}
inline ScriptStep given_step(std::vector<int32_t> ids) {
  ScriptStep step;
  step.kind = StepKind::kGiven;
  step.given = std::move(ids);
  return step;
}
inline ScriptStep choose_step(float temperature = 1) {
  ScriptStep step;
  step.kind = StepKind::kChoose;
  step.sampling.temperature = temperature;
  return step;
}

inline void expect_same_samples(const std::vector<SampleResult>& got,
                                const std::vector<SampleResult>& want, const std::string& what) {
  expect(got.size() == want.size(), what + ": samples");
  for (size_t i = 0; i < got.size(); ++i) {
    const SampleResult &a = got[i], &b = want[i];
    const std::string who = what + ", sample " + std::to_string(i);
    expect(a.tokens == b.tokens && a.kinds == b.kinds && a.finishes == b.finishes &&
               a.choice == b.choice,
           who + ": tokens");
    const int64_t n = int64_t(a.tokens.size()), c = int64_t(b.candidate_joint.size());
    expect_same_bits(a.logprobs.data(), b.logprobs.data(), n, who + ": log-probs");
    expect_same_bits(a.entropies.data(), b.entropies.data(), n, who + ": entropies");
    expect_same_bits(a.candidate_joint.data(), b.candidate_joint.data(), c, who + ": candidates");
    expect_same_bits(a.candidate_mean.data(), b.candidate_mean.data(), c,
                     who + ": candidate means");
    expect_same_bits(a.candidate_prob.data(), b.candidate_prob.data(), c,
                     who + ": candidate probabilities");
    expect(a.plain_logprobs.size() == b.plain_logprobs.size() && a.top_ids == b.top_ids &&
               a.beam == b.beam && a.beam_scores == b.beam_scores,
           who + ": reports and beams");
    expect_same_bits(a.plain_logprobs.data(), b.plain_logprobs.data(),
                     int64_t(b.plain_logprobs.size()), who + ": plain log-probs");
    expect_same_bits(a.top_logprobs.data(), b.top_logprobs.data(), int64_t(b.top_logprobs.size()),
                     who + ": likeliest tokens");
  }
}

// What was sampled or chosen is trained; advantages alternate in size and sign.
inline PolicyGroup policy_group(const GroupRequest& request,
                                const std::vector<SampleResult>& samples) {
  PolicyGroup group;
  group.prompt = request.prompt;
  group.trie = request.trie;
  for (size_t i = 0; i < samples.size(); ++i) {
    const SampleResult& s = samples[i];
    PolicyCompletion c;
    c.ids = s.tokens;
    c.old_logprobs = s.logprobs;
    c.advantage = (i % 2 ? -1.0f : 1.0f) * (0.4f + 0.1f * float(i));
    for (size_t t = 0; t < s.tokens.size(); ++t) {
      c.mask.push_back(s.kinds[t] != int8_t(TokenKind::kGiven));
      if (s.kinds[t] == int8_t(TokenKind::kChosen) && c.trie_begin < 0) c.trie_begin = int32_t(t);
    }
    group.completions.push_back(std::move(c));
  }
  return group;
}

inline std::vector<double> token_mean_weights(const std::vector<PolicyGroup>& groups) {
  std::vector<int64_t> lengths;
  for (const PolicyGroup& g : groups)
    for (const PolicyCompletion& c : g.completions)
      lengths.push_back(std::count(c.mask.begin(), c.mask.end(), 1));
  return aggregation_weights(Aggregation::kTokenMean, lengths, 0);
}

}  // namespace reasonrec::test
