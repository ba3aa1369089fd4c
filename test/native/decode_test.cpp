// Decoding a tiny policy: a sample's tokens and log-probs are a function of its own request alone;
// sampled log-probs have the bits of the trained ones; candidates score as a plain re-encoding
// does.
#include "core/check.h"
#include "tiny_policy.h"

namespace reasonrec::test {
namespace {

using Samples = std::vector<std::vector<SampleResult>>;

Samples decode(const TinyPolicy& p, const std::vector<GroupRequest>& groups,
               const std::vector<ScriptStep>& script, const DecodeOptions& options = {}) {
  return generate(p.context, *p.model, p.stack(), groups, script, options, nullptr, {});
}

std::vector<std::vector<float>> encode(const TinyPolicy& p,
                                       const std::vector<std::vector<int32_t>>& sequences,
                                       std::vector<std::vector<float>>* entropies = nullptr,
                                       std::vector<std::vector<float>>* logits = nullptr) {
  return sequence_logprobs(p.context, *p.model, p.stack(), sequences, entropies, logits, {});
}

struct Setting {
  float temperature;
  bool trie, share;
  std::string name() const {
    return std::string("T ") + (temperature == 1 ? "1" : "0.7") + (trie ? ", trie" : "") +
           (share ? ", shared" : ", unshared");
  }
};
std::vector<Setting> settings() {
  std::vector<Setting> out;
  for (const float t : {0.7f, 1.0f})
    for (const bool trie : {false, true})
      for (const bool share : {true, false}) out.push_back({t, trie, share});
  return out;
}

// Groups of 1, 3 and 8 with prompts around the edges of a panel.
std::vector<GroupRequest> edge_groups(const TinyPolicy& policy, bool trie) {
  const int panel = policy.context.context.kernels->panel;
  const auto titles = trie ? std::make_shared<const Trie>(tiny_titles()) : nullptr;
  Random random(77);
  std::vector<GroupRequest> groups;
  for (const int64_t length :
       {panel - 1, panel, panel + 1, 2 * panel - 1, 2 * panel, 2 * panel + 1})
    for (const int samples : {1, 3, 8})
      groups.push_back(
          tiny_group(random, policy.config, length, samples, 1000 * groups.size(), titles));
  return groups;
}

// Rows end at different steps; given tokens and the choice make multi-row segments.
std::vector<ScriptStep> edge_script(const Setting& s) {
  std::vector<ScriptStep> script = {free_step(13, s.temperature)};
  for (int32_t id = 0; id < 60; ++id) script[0].stop_tokens.push_back(id * 10);
  script[0].stop_token_ends_sample = false;
  script.push_back(given_step({3, 17, 4}));
  if (s.trie)
    script.push_back(choose_step(s.temperature));
  else
    script.push_back(free_step(3, s.temperature));
  return script;
}

void sampled_is_trained(const Kernels& kernels, Compute compute, const std::vector<Setting>& all) {
  TinyPolicy policy(kernels, 2, 11, compute), single(kernels, 1, 11, compute);
  for (const Setting& s : all) {
    const std::string what = std::string(kernels.name) + ", " + s.name();
    const std::vector<GroupRequest> groups = edge_groups(policy, s.trie);
    const std::vector<ScriptStep> script = edge_script(s);
    const Samples samples = decode(policy, groups, script, {9, 64, s.share});
    for (const int rows : {1, 2}) {
      const TinyPolicy& p = rows == 2 ? single : policy;
      const Samples again = decode(p, groups, script, {9, rows, s.share});
      for (size_t g = 0; g < groups.size(); ++g)
        expect_same_samples(again[g], samples[g],
                            what + ", " + std::to_string(rows) + " live rows");
    }
    std::vector<PolicyGroup> batch;
    std::vector<float> logprobs, entropies;
    for (size_t g = 0; g < groups.size(); ++g) {
      batch.push_back(policy_group(groups[g], samples[g]));
      const Samples alone = decode(single, {groups[g]}, script, {9, 64, s.share});
      expect_same_samples(alone[0], samples[g], what + ", alone");
      for (const SampleResult& r : samples[g]) {
        logprobs.insert(logprobs.end(), r.logprobs.begin(), r.logprobs.end());
        entropies.insert(entropies.end(), r.entropies.begin(), r.entropies.end());
      }
    }
    PolicyLossConfig loss;
    loss.beta = 0.1f;
    for (const bool gradients : {false, true}) {
      Trainer trainer(policy.context, *policy.model, nullptr, policy.adapter.get(),
                      {200, false, s.share});
      const PolicyResult r =
          trainer.accumulate_policy(policy.context, batch, loss, token_mean_weights(batch),
                                    s.temperature, policy.stack(), gradients, {});
      expect_same_bits(r.logprobs.data(), logprobs.data(), int64_t(logprobs.size()),
                       what + ": trained log-probs");
      expect_same_bits(r.entropies.data(), entropies.data(), int64_t(entropies.size()),
                       what + ": trained entropies");
      expect(r.sums.max_abs_log_ratio == 0 && r.sums.ratio_sum == double(r.sums.tokens),
             "ratio 1, exactly");
      expect(r.sums.kl_sum == 0, "KL against itself is 0, exactly");
    }
  }
}

RR_TEST("decode: sampled log-probs have the bits of the trained ones, whatever shares the batch") {
  for (const Kernels* kernels : cpu_kernels())
    sampled_is_trained(*kernels, Compute::kF32, settings());
}

RR_TEST("decode: sampled log-probs have the bits of the trained ones with products in bf16") {
  for (const Kernels* kernels : cpu_kernels())
    sampled_is_trained(*kernels, Compute::kBF16, {{0.7f, true, true}, {1, false, false}});
}

RR_TEST("decode: shared and unshared prefixes agree to 1e-5") {
  for (const Kernels* kernels : cpu_kernels()) {
    TinyPolicy policy(*kernels);
    const Setting s{1, true, true};
    const std::vector<GroupRequest> groups = edge_groups(policy, true);
    const Samples shared = decode(policy, groups, edge_script(s), {9, 64, true});
    std::vector<PolicyGroup> batch;
    for (size_t g = 0; g < groups.size(); ++g) batch.push_back(policy_group(groups[g], shared[g]));
    Trainer with(policy.context, *policy.model, nullptr, policy.adapter.get(), {4096, false, true});
    Trainer without(policy.context, *policy.model, nullptr, policy.adapter.get(),
                    {4096, false, false});
    const auto run = [&](Trainer& t) {
      return t.accumulate_policy(policy.context, batch, {}, token_mean_weights(batch), 1, {}, true,
                                 {});
    };
    const PolicyResult a = run(with), b = run(without);
    const std::vector<double> want = to_double(b.logprobs);
    // fp32 sums of a few hundred terms in another order
    expect_close(a.logprobs.data(), want.data(), int64_t(want.size()), 1e-5, 1e-5, "log-probs");
    double square = 0, distance = 0;
    for (int64_t i = 0; i < with.layout().total; ++i) {
      square += std::pow(double(without.gradients()[i]), 2);
      distance += std::pow(double(with.gradients()[i]) - double(without.gradients()[i]), 2);
    }
    expect(distance <= 1e-10 * square,
           "gradients, relative " + std::to_string(std::sqrt(distance / square)));
    int64_t saved = 0;
    for (const PolicyGroup& g : batch)
      saved += int64_t((g.completions.size() - 1) * g.prompt.size());
    expect(b.rows - a.rows == saved, "a shared prefix is computed once");
  }
}

RR_TEST("decode: log-probs are those of plain re-encoding at temperature 1") {
  TinyPolicy policy(select_cpu_kernels());
  Random random(3);
  const auto group = tiny_group(random, policy.config, 21, 4, 50);
  const Samples samples = decode(policy, {group}, {free_step(20)}, {1, 64, false});
  std::vector<std::vector<int32_t>> sequences;
  for (const SampleResult& s : samples[0]) {
    sequences.push_back(group.prompt);
    sequences.back().insert(sequences.back().end(), s.tokens.begin(), s.tokens.end());
  }
  std::vector<std::vector<float>> entropies, logits;
  const auto logprobs = encode(policy, sequences, &entropies, &logits);
  for (size_t i = 0; i < sequences.size(); ++i) {
    expect_same_bits(samples[0][i].logprobs.data(), logprobs[i].data() + 20, 20, "log-probs");
    expect_same_bits(samples[0][i].entropies.data(), entropies[i].data() + 20, 20, "entropies");
    for (size_t t = 0; t + 1 < sequences[i].size(); t += 7) {  // and against the logits, in fp64
      double sum = 0, weighted = 0;
      const float* row = logits[i].data() + int64_t(t) * policy.config.vocab;
      for (int64_t v = 0; v < policy.config.vocab; ++v) sum += std::exp(double(row[v]));
      for (int64_t v = 0; v < policy.config.vocab; ++v)
        weighted += double(row[v]) * std::exp(double(row[v])) / sum;
      const double want[2] = {double(row[sequences[i][t + 1]]) - std::log(sum),
                              std::log(sum) - weighted};
      const float got[2] = {logprobs[i][t], entropies[i][t]};
      expect_close(got, want, 2, 3e-6, 3e-6, "log-prob and entropy from logits");
    }
  }
}

RR_TEST("decode: candidate scores equal plain re-encoding; samples of every shape") {
  for (const Kernels* kernels : cpu_kernels())
    for (const bool share : {true, false}) {
      TinyPolicy policy(*kernels);
      Random random(8);
      std::vector<GroupRequest> groups;
      for (const int64_t length : {5, 16, 33})
        groups.push_back(tiny_group(random, policy.config, length, 3, 7));
      for (GroupRequest& g : groups) {
        g.candidates = tiny_titles();
        for (int i = 0; i < 130; ++i)
          g.candidates.push_back(random_ids(random, policy.config, 1 + random.integer(12)));
        g.samples[1].given = {4, 4, 9};  // one row enters with tokens of its own
      }
      std::vector<ScriptStep> thinking = {free_step(6), given_step({3, 17})};
      for (int32_t id = 0; id < 60; ++id) thinking[0].stop_tokens.push_back(id * 10);
      for (const auto& script :
           {thinking, std::vector<ScriptStep>{}, std::vector<ScriptStep>{free_step(5)}}) {
        const Samples samples = decode(policy, groups, script, {4, 64, share});
        const Samples slow = decode(policy, groups, script, {4, 1, share});
        for (size_t g = 0; g < groups.size(); ++g) {
          expect_same_samples(slow[g], samples[g], "candidates, one live row");
          for (const SampleResult& s : samples[g]) {
            std::vector<std::vector<int32_t>> sequences;
            std::vector<int32_t> before = groups[g].prompt;
            before.insert(before.end(), s.tokens.begin(), s.tokens.end());
            for (const auto& c : groups[g].candidates) {
              sequences.push_back(before);
              sequences.back().insert(sequences.back().end(), c.begin(), c.end());
            }
            const auto plain = encode(policy, sequences);
            for (size_t c = 0; c < sequences.size(); ++c) {
              double joint = 0, probability = 0;
              for (size_t t = before.size() - 1; t < plain[c].size(); ++t) {
                joint += plain[c][t];
                probability += std::exp(double(plain[c][t]));
              }
              const double n = double(groups[g].candidates[c].size());
              // sums of up to 12 log-probs, each fp32 in another order of its products
              expect(std::fabs(s.candidate_joint[c] - joint) <= 1e-4,
                     "joint of candidate " + std::to_string(c));
              expect(std::fabs(s.candidate_mean[c] - joint / n) <= 1e-4,
                     "mean of candidate " + std::to_string(c));
              expect(std::fabs(s.candidate_prob[c] - probability / n) <= 1e-4,
                     "mean probability of candidate " + std::to_string(c));
            }
          }
        }
      }
    }
}

RR_TEST("decode: candidates beside a choice have the bits of candidates scored before it") {
  using Titles = std::vector<std::vector<int32_t>>;
  // Decided at once; walked before the first decision; walked to its end without one.
  const std::vector<Titles> tries = {tiny_titles(), {{9, 8, 1}, {9, 8, 2}, {9, 7}}, {{9, 8, 7}}};
  for (const Kernels* kernels : cpu_kernels())
    for (const bool share : {true, false})
      for (const Titles& titles : tries) {
        TinyPolicy policy(*kernels);
        Random random(8);
        const auto trie = std::make_shared<const Trie>(titles);
        std::vector<GroupRequest> groups;
        for (const int64_t length : {5, 16, 33}) {
          groups.push_back(tiny_group(random, policy.config, length, 3, 7, trie));
          groups.back().candidates = tiny_titles();
          groups.back().samples[1].given = {4, 4, 9};
        }
        for (const auto& before : {std::vector<ScriptStep>{free_step(6), given_step({3, 17})},
                                   std::vector<ScriptStep>{}}) {
          std::vector<ScriptStep> whole = before;
          whole.push_back(choose_step(1));
          const Samples expected = decode(policy, groups, before, {4, 64, share});
          const Samples chosen = decode(policy, groups, whole, {4, 64, share});
          const Samples alone = decode(policy, groups, whole, {4, 1, share});
          for (size_t g = 0; g < groups.size(); ++g) {
            expect_same_samples(alone[g], chosen[g], "one live row");
            for (size_t s = 0; s < 3; ++s) {
              const int64_t count = int64_t(groups[g].candidates.size());
              expect(chosen[g][s].choice >= 0, "a title was chosen");
              expect(int64_t(chosen[g][s].candidate_joint.size()) == count, "every candidate");
              expect_same_bits(expected[g][s].candidate_joint.data(),
                               chosen[g][s].candidate_joint.data(), count, "joint");
              expect_same_bits(expected[g][s].candidate_mean.data(),
                               chosen[g][s].candidate_mean.data(), count, "mean");
            }
          }
        }
      }
}

RR_TEST("decode: a trie reaches every title and nothing else, and its probabilities add up to 1") {
  TinyPolicy policy(select_cpu_kernels());
  Random random(12);
  const auto titles = tiny_titles();
  auto group = tiny_group(random, policy.config, 9, 300, 0, std::make_shared<const Trie>(titles));
  const Samples samples = decode(policy, {group}, {choose_step(5)}, {2, 64, true});
  std::vector<int> count(titles.size());
  std::vector<double> logprob(titles.size(), 1);
  for (const SampleResult& s : samples[0]) {
    expect(s.choice >= 0 && s.tokens == titles[size_t(s.choice)], "the row is the chosen title");
    double sum = 0;
    for (float x : s.logprobs) sum += x;
    logprob[size_t(s.choice)] = sum;
    ++count[size_t(s.choice)];
  }
  double total = 0;
  for (size_t i = 0; i < titles.size(); ++i) {
    expect(count[i] > 0, "title " + std::to_string(i) + " is reached");
    const double p = std::exp(logprob[i]);
    total += p;
    // five standard deviations of a count of 300 draws
    expect(std::fabs(count[i] - 300 * p) <= 5 * std::sqrt(300 * p * (1 - p)),
           "frequency of title " + std::to_string(i));
  }
  expect(std::fabs(total - 1) < 1e-5, "probabilities of all titles add up to 1");
}

RR_TEST(
    "decode: greedy takes the largest logit, and a sample does not depend on its place in the "
    "group") {
  TinyPolicy policy(select_cpu_kernels());
  Random random(14);
  auto group = tiny_group(random, policy.config, 10, 1, 0);
  const Samples greedy = decode(policy, {group}, {free_step(12, 0)});
  std::vector<int32_t> ids = group.prompt;
  ids.insert(ids.end(), greedy[0][0].tokens.begin(), greedy[0][0].tokens.end());
  std::vector<std::vector<float>> logits;
  encode(policy, {ids}, nullptr, &logits);
  for (size_t t = 0; t < 12; ++t) {
    const float* row = logits[0].data() + int64_t(9 + t) * policy.config.vocab;
    const float top = *std::max_element(row, row + policy.config.vocab);
    expect(row[greedy[0][0].tokens[t]] > top - 1e-4f, "greedy token " + std::to_string(t));
  }
  group.samples = {{5, {}}, {6, {}}, {7, {}}};
  const Samples a = decode(policy, {group}, {free_step(9)}, {3, 2, true});
  group.samples = {{7, {}}, {5, {}}};
  const Samples b = decode(policy, {group}, {free_step(9)}, {3, 64, true});
  expect_same_samples({a[0][2], a[0][0]}, b[0], "streams");
  expect(a[0][0].tokens != a[0][1].tokens, "streams differ");
}

RR_TEST("decode: progress, cancellation and refusals") {
  TinyPolicy policy(select_cpu_kernels());
  Random random(15);
  auto group = tiny_group(random, policy.config, 10, 5, 0);
  std::atomic<int32_t> words[4] = {};
  const Job job{words};
  const auto run = [&](const GroupRequest& g, const std::vector<ScriptStep>& script) {
    return generate(policy.context, *policy.model, policy.stack(), {g}, script, {}, nullptr, job);
  };
  run(group, {free_step(8)});
  expect(words[1] == 5 && words[2] == 5 && words[3] == 40, "progress counts samples and tokens");
  const auto expect_code = [&](const std::string& code, const GroupRequest& g,
                               const std::vector<ScriptStep>& script) {
    try {
      run(g, script);
    } catch (const Error& e) {
      expect(e.code == code, "expected " + code + ", got " + e.code);
      return;
    }
    throw Failure{"expected " + code};
  };
  expect_code("RR_PROMPT_TOO_LONG", group, {free_step(247)});
  expect_code("RR_SCRIPT", group, {choose_step()});
  GroupRequest bad = group;
  bad.prompt[3] = 600;
  expect_code("RR_TOKEN_OUT_OF_RANGE", bad, {free_step(1)});
  bad.prompt.clear();
  expect_code("RR_PROMPT_EMPTY", bad, {free_step(1)});
  words[0] = 1;
  expect_code("RR_CANCELLED", group, {free_step(8)});
}

}  // namespace
}  // namespace reasonrec::test
