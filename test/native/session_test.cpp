// Decoding sessions: a group that joins and leaves a running batch is the group decoded alone, to
// the bit; growth adds up to the sample; what is dropped leaves no trace.
#include <map>

#include "decode/session.h"
#include "tiny_policy.h"

namespace reasonrec::test {
namespace {

struct Asked {
  std::shared_ptr<GroupRequest> request;
  std::shared_ptr<std::vector<ScriptStep>> script;
  uint64_t seed;
};

// Prompts round the edges of a panel, every temperature, scripts that think, choose, score and
// search.
std::vector<Asked> mixed_requests(const TinyPolicy& policy) {
  const int panel = policy.context.context.kernels->panel;
  const auto trie = std::make_shared<const Trie>(tiny_titles());
  Random random(91);
  std::vector<Asked> out;
  for (int i = 0; i < 18; ++i) {
    const int64_t lengths[] = {1, panel - 1, panel, panel + 1, 2 * panel + 3, 7};
    auto group = std::make_shared<GroupRequest>(tiny_group(
        random, policy.config, lengths[i % 6], 1 + i % 3, uint64_t(5 * i), i % 2 ? trie : nullptr));
    const float temperatures[] = {0.0f, 1.0f, 0.6f};
    auto script = std::make_shared<std::vector<ScriptStep>>();
    script->push_back(free_step(3 + (i * 7) % 19, temperatures[i % 3]));
    for (int32_t id = 0; id < 40; ++id) (*script)[0].stop_tokens.push_back(id * 14);
    (*script)[0].stop_token_ends_sample = i % 4 == 0;
    if (i % 2) {
      script->push_back(given_step({3, 17}));
      script->push_back(choose_step(temperatures[(i + 1) % 3]));
    }
    if (i % 5 == 1) group->candidates = tiny_titles();
    if (i % 5 == 2) group->beam = {trie, 3, false, {}};
    group->top = i % 4 - 1;
    out.push_back({group, script, 1000 + uint64_t(i % 4)});
  }
  return out;
}

std::vector<SampleResult> alone(const TinyPolicy& policy, const Asked& asked) {
  const DecodeOptions options{asked.seed, 64, true};
  return generate(policy.context, *policy.model, policy.stack(), {*asked.request}, *asked.script,
                  options, nullptr, {})[0];
}

struct Outcome {
  std::map<int64_t, std::vector<SampleResult>> finished;
  std::map<int64_t, std::vector<std::vector<int32_t>>> grown;
};

void take(Outcome& outcome, const std::vector<Asked>& asked, SessionNews&& news) {
  for (SessionSample& s : news.grown) {
    auto& texts = outcome.grown[s.group];
    texts.resize(asked[size_t(s.group)].request->samples.size());
    auto& text = texts[size_t(s.sample)];
    text.insert(text.end(), s.result.tokens.begin(), s.result.tokens.end());
    expect(s.result.logprobs.size() == s.result.tokens.size(), "a piece's log-probs");
  }
  for (SessionSample& s : news.finished) {
    auto& samples = outcome.finished[s.group];
    samples.resize(asked[size_t(s.group)].request->samples.size());
    expect(samples[size_t(s.sample)].tokens.empty(), "a sample ends once");
    samples[size_t(s.sample)] = std::move(s.result);
  }
}

RR_TEST("session: a group among others that join and leave has the bits of the group alone") {
  for (const Kernels* kernels : cpu_kernels())
    for (const int threads : {1, 2}) {
      TinyPolicy policy(*kernels, threads);
      const std::vector<Asked> asked = mixed_requests(policy);
      for (const int max_rows : {3, 64}) {
        Random random(uint64_t(max_rows + threads));
        DecodeSession session(*kernels, *policy.model, policy.stack(), {max_rows, true, true},
                              nullptr);
        Outcome outcome;
        // Joins at random boundaries, in an order of its own; every fifth is dropped on its way.
        std::vector<std::pair<int, int64_t>> joins, drops;
        for (size_t i = 0; i < asked.size(); ++i) {
          joins.push_back({int(random.uniform() * 25), int64_t(i)});
          if (i % 5 == 4) drops.push_back({joins.back().first + int(i % 6), int64_t(i)});
        }
        for (int step = 0; step < 30 || !session.idle(); ++step) {
          for (const auto& [when, i] : joins)
            if (when == step)
              session.join({i, asked[size_t(i)].request, asked[size_t(i)].script,
                            asked[size_t(i)].seed, i % 2 == 0});
          for (const auto& [when, i] : drops)
            if (when == step) session.drop(i);
          take(outcome, asked, session.step(policy.context, {}));
        }
        for (size_t i = 0; i < asked.size(); ++i) {
          const std::string who = std::string(kernels->name) + ", rows " +
                                  std::to_string(max_rows) + ", group " + std::to_string(i);
          if (i % 5 == 4 && outcome.finished.find(int64_t(i)) == outcome.finished.end()) continue;
          const std::vector<SampleResult> want = alone(policy, asked[i]);
          std::vector<SampleResult>& got = outcome.finished[int64_t(i)];
          for (size_t s = 0; i % 5 == 4 && s < got.size(); ++s)
            if (got[s].tokens.empty()) got[s] = want[s];  // dropped before it ended
          expect_same_samples(got, want, who);
          for (size_t s = 0; i % 2 == 0 && s < want.size(); ++s) {
            auto grown = outcome.grown[int64_t(i)];
            grown.resize(want.size());
            expect(grown[s].size() <= want[s].tokens.size() &&
                       std::equal(grown[s].begin(), grown[s].end(), want[s].tokens.begin()),
                   who + ": growth is the sample's beginning");
          }
        }
      }
    }
}

RR_TEST("session: log-probs at temperature 1 are those of re-encoding, whatever the sampling") {
  TinyPolicy policy(select_cpu_kernels());
  for (const float temperature : {0.0f, 0.5f, 1.0f}) {  // own prefixes: one segment, as re-encoded
    Random random(7);
    GroupRequest group = tiny_group(random, policy.config, 11, 2, 3);
    group.top = 4;
    auto script = std::vector<ScriptStep>{free_step(9, temperature), given_step({8, 9}),
                                          free_step(3, temperature)};
    const auto samples = generate(policy.context, *policy.model, policy.stack(), {group}, script,
                                  {4, 64, false}, nullptr, {})[0];
    for (const SampleResult& s : samples) {
      std::vector<int32_t> ids = group.prompt;
      ids.insert(ids.end(), s.tokens.begin(), s.tokens.end());
      std::vector<std::vector<float>> logits;
      const auto want = sequence_logprobs(policy.context, *policy.model, policy.stack(), {ids},
                                          nullptr, &logits, {})[0];
      expect(s.plain_logprobs.size() == s.tokens.size() && s.top_ids.size() == 4 * s.tokens.size(),
             "one report for each token");
      for (size_t t = 0; t < s.tokens.size(); ++t) {
        const bool given = s.kinds[t] == int8_t(TokenKind::kGiven);
        if (given) {
          expect(s.plain_logprobs[t] == 0 && s.top_ids[4 * t] == -1, "given tokens have none");
          continue;
        }
        expect_same_bits(&s.plain_logprobs[t], &want[group.prompt.size() - 1 + t], 1,
                         "temperature " + std::to_string(temperature));
        const float* row =
            logits[0].data() + int64_t(group.prompt.size() - 1 + t) * policy.config.vocab;
        std::vector<int32_t> order(size_t(policy.config.vocab));
        for (size_t v = 0; v < order.size(); ++v) order[v] = int32_t(v);
        std::stable_sort(order.begin(), order.end(),
                         [&](int32_t a, int32_t b) { return row[a] > row[b]; });
        expect(std::equal(order.begin(), order.begin() + 4, s.top_ids.begin() + int64_t(4 * t)),
               "the likeliest tokens, best first");
        expect(s.tokens[t] != order[0] || s.top_logprobs[4 * t] == s.plain_logprobs[t],
               "one token, one log-prob");
      }
    }
  }
}

RR_TEST("session: dropping frees the place at once; a bad group does not join") {
  TinyPolicy policy(select_cpu_kernels());
  Random random(5);
  DecodeSession session(select_cpu_kernels(), *policy.model, policy.stack(), {2, true, true},
                        nullptr);
  const auto script = std::make_shared<std::vector<ScriptStep>>();
  script->push_back(free_step(40));
  std::vector<std::shared_ptr<GroupRequest>> groups;
  for (int i = 0; i < 3; ++i)
    groups.push_back(
        std::make_shared<GroupRequest>(tiny_group(random, policy.config, 9, 2, uint64_t(i))));
  session.join({0, groups[0], script, 1, false});
  session.join({1, groups[1], script, 1, true});
  for (int i = 0; i < 3; ++i)
    expect(session.step(policy.context, {}).grown.empty(), "the second waits for room");
  session.drop(0);
  session.drop(0);
  session.drop(77);
  expect(session.step(policy.context, {}).grown.size() == 2, "its place is taken in the same step");
  groups[2]->prompt[0] = 600;
  try {
    session.join({2, groups[2], script, 1, false});
    throw Failure{"a token outside the vocabulary was taken"};
  } catch (const Error& e) {
    expect(e.code == "RR_TOKEN_OUT_OF_RANGE", "got " + e.code);
  }
  size_t finished = 0;
  while (!session.idle()) finished += session.step(policy.context, {}).finished.size();
  expect(finished == 2, "the others ended");
}

}  // namespace
}  // namespace reasonrec::test
