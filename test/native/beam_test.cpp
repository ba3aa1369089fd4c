// Constrained beam search on a tiny policy, against what it must equal: all titles scored one by
// one where the beam is as wide as the catalogue, a beam written with plain loops over re-encoded
// prefixes where it is not, and a trie without the excluded titles where some are excluded.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/check.h"
#include "tiny_policy.h"

namespace reasonrec::test {
namespace {

using Titles = std::vector<std::vector<int32_t>>;
using Found = std::vector<std::pair<double, int32_t>>;  // score and title, best first

Titles many_titles() {
  Titles titles = tiny_titles();
  for (int32_t a = 0; a < 5; ++a)
    for (int32_t b = 0; b < 4; ++b) titles.push_back({300 + a, 310 + 7 * b, 320 + (a + b) % 3, 3});
  for (int32_t a = 0; a < 3; ++a) titles.push_back({301, 310, 400 + a, 401, 402 + a, 3});
  return titles;
}

std::vector<GroupRequest> beam_groups(const TinyPolicy& p, const Titles& titles, int width,
                                      bool renormalise = false) {
  const auto trie = std::make_shared<const Trie>(titles);
  Random random(21);
  std::vector<GroupRequest> groups;
  for (const int64_t length : {3, 16, 21}) {
    groups.push_back(tiny_group(random, p.config, length, 3, 50 * groups.size()));
    groups.back().samples[1].given = {4, 4, 9};
    groups.back().candidates = titles;
    groups.back().beam = {trie, width, renormalise, {}};
  }
  return groups;
}

std::vector<std::vector<SampleResult>> decode(const TinyPolicy& p,
                                              const std::vector<GroupRequest>& groups,
                                              const std::vector<ScriptStep>& script,
                                              const DecodeOptions& options = {5, 64, true}) {
  return generate(p.context, *p.model, p.stack(), groups, script, options, nullptr, {});
}

Found found(const SampleResult& s) {
  Found out;
  for (size_t i = 0; i < s.beam.size(); ++i) out.push_back({s.beam_scores[i], s.beam[i]});
  return out;
}

void expect_found(const SampleResult& got, const Found& want, double tolerance,
                  const std::string& what) {
  expect(got.beam.size() == got.beam_scores.size() && got.beam.size() == want.size(),
         what + ": length");
  for (size_t i = 0; i < want.size(); ++i) {
    expect(got.beam[i] == want[i].second, what + ": title at place " + std::to_string(i));
    if (tolerance == 0)
      expect(got.beam_scores[i] == want[i].first, what + ": score's bits");
    else if (want[i].second >= 0)
      expect(std::abs(got.beam_scores[i] - want[i].first) < tolerance, what + ": score");
  }
}

// log p of every next token after prompt, sample and title prefix; plain re-encoding.
std::vector<double> next_logprobs(const TinyPolicy& p, std::vector<int32_t> ids,
                                  const std::vector<int32_t>& prefix,
                                  const std::vector<int32_t>& allowed) {
  ids.insert(ids.end(), prefix.begin(), prefix.end());
  std::vector<std::vector<float>> logits;
  sequence_logprobs(p.context, *p.model, p.stack(), {ids}, nullptr, &logits, {});
  const float* last = logits[0].data() + (int64_t(ids.size()) - 1) * p.config.vocab;
  double sum = 0;
  for (int64_t v = 0; v < p.config.vocab; ++v)
    if (allowed.empty() || std::count(allowed.begin(), allowed.end(), int32_t(v)))
      sum += std::exp(double(last[v]));
  std::vector<double> out;
  for (int64_t v = 0; v < p.config.vocab; ++v) out.push_back(double(last[v]) - std::log(sum));
  return out;
}

// The search of beam_search.h with sets instead of a trie and nothing shared.
Found plain_beam(const TinyPolicy& p, const std::vector<int32_t>& before, const Titles& titles,
                 size_t width, bool renormalise) {
  std::vector<std::pair<double, std::vector<int32_t>>> live = {{0, {}}};
  Found ended;
  while (!live.empty()) {
    std::vector<std::pair<double, std::vector<int32_t>>> next;
    for (const auto& [score, prefix] : live) {
      std::vector<int32_t> allowed;
      for (const auto& t : titles)
        if (t.size() > prefix.size() && std::equal(prefix.begin(), prefix.end(), t.begin()))
          allowed.push_back(t[prefix.size()]);
      std::sort(allowed.begin(), allowed.end());
      allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
      const auto logprobs =
          next_logprobs(p, before, prefix, renormalise ? allowed : std::vector<int32_t>{});
      for (const int32_t token : allowed) {
        std::vector<int32_t> longer = prefix;
        longer.push_back(token);
        const auto whole = std::find(titles.begin(), titles.end(), longer);
        if (whole != titles.end())
          ended.push_back({score + logprobs[token], int32_t(whole - titles.begin())});
        else
          next.push_back({score + logprobs[token], longer});
      }
    }
    std::sort(next.begin(), next.end(),
              [](const auto& a, const auto& b) { return a.first > b.first; });
    if (next.size() > width) next.resize(width);
    live = next;
  }
  std::sort(ended.begin(), ended.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  if (ended.size() > width) ended.resize(width);
  while (ended.size() < width) ended.push_back({-std::numeric_limits<double>::infinity(), -1});
  return ended;
}

std::vector<int32_t> before_beam(const GroupRequest& group, const SampleResult& sample) {
  std::vector<int32_t> ids = group.prompt;
  ids.insert(ids.end(), sample.tokens.begin(), sample.tokens.end());
  return ids;
}

RR_TEST("beam: as wide as the catalogue it is all titles scored one by one, in bits") {
  const Titles titles = many_titles();
  for (const Kernels* kernels : cpu_kernels())
    for (const bool share : {true, false}) {
      TinyPolicy policy(*kernels, 2);
      const int width = int(titles.size()) + 2;
      const auto groups = beam_groups(policy, titles, width);
      const std::vector<ScriptStep> think = {free_step(6), given_step({3, 17})};
      for (const auto& script : {think, std::vector<ScriptStep>{}}) {
        const auto samples = decode(policy, groups, script, {5, 64, share});
        for (const auto& group : samples)
          for (const SampleResult& s : group) {
            expect(s.beam.size() == titles.size() + 2, "padded to the width");
            std::vector<bool> seen(titles.size(), false);
            for (size_t i = 0; i < titles.size(); ++i) {
              const int32_t title = s.beam[i];
              expect(title >= 0 && !seen[title], "every title once");
              seen[title] = true;
              const float joint = float(s.beam_scores[i]);
              expect_same_bits(&joint, &s.candidate_joint[title], 1, "joint log-prob");
              expect(i == 0 || s.beam_scores[i] <= s.beam_scores[i - 1], "best first");
            }
            for (size_t i = titles.size(); i < s.beam.size(); ++i)
              expect(s.beam[i] == -1 && std::isinf(s.beam_scores[i]) && s.beam_scores[i] < 0,
                     "pads");
          }
      }
    }
}

RR_TEST("beam: narrow ones are those of plain loops, over the vocabulary and over the trie") {
  TinyPolicy policy(select_cpu_kernels());
  const Titles titles = many_titles();
  for (const bool renormalise : {false, true})
    for (const int width : {1, 2, 5}) {
      const auto groups = beam_groups(policy, titles, width, renormalise);
      const auto samples = decode(policy, groups, {free_step(4), given_step({3, 17})});
      for (size_t g = 0; g < groups.size(); ++g)
        for (const SampleResult& s : samples[g])
          // fp32 logits against fp64 sums over six tokens
          expect_found(
              s, plain_beam(policy, before_beam(groups[g], s), titles, size_t(width), renormalise),
              2e-5, "width " + std::to_string(width));
    }
}

RR_TEST(
    "beam: no other row, no live-row limit and no thread count changes it; a choice stands aside") {
  const Titles titles = many_titles();
  for (const Kernels* kernels : cpu_kernels()) {
    TinyPolicy policy(*kernels, 2), single(*kernels, 1);
    auto groups = beam_groups(policy, titles, 4);
    const std::vector<ScriptStep> think = {free_step(5), given_step({3})};
    const auto expected = decode(policy, groups, think);
    for (auto& group : groups) group.trie = std::make_shared<const Trie>(tiny_titles());
    std::vector<ScriptStep> chosen = think;
    chosen.push_back(choose_step(1));
    const auto beside = decode(policy, groups, chosen);
    for (size_t g = 0; g < groups.size(); ++g) {
      const auto alone = decode(single, {groups[g]}, think, {5, 1, true});
      for (size_t s = 0; s < expected[g].size(); ++s) {
        expect_found(alone[0][s], found(expected[g][s]), 0, "alone");
        expect_found(beside[g][s], found(expected[g][s]), 0, "beside a choice");
      }
    }
    for (auto& group : groups) group.candidates.clear();
    const auto without = decode(policy, groups, think);
    for (size_t g = 0; g < groups.size(); ++g)
      for (size_t s = 0; s < expected[g].size(); ++s)
        expect_found(without[g][s], found(expected[g][s]), 0, "without candidates");
  }
}

RR_TEST("beam: excluded titles are as good as not in the trie") {
  TinyPolicy policy(select_cpu_kernels());
  const Titles titles = many_titles();
  for (const bool renormalise : {false, true}) {
    auto groups = beam_groups(policy, titles, 6, renormalise);
    auto full = groups;
    const std::vector<int32_t> out = {0, 1, 2, 2, 4, 9, int32_t(titles.size()) - 1};
    Titles left;
    std::vector<int32_t> kept;
    for (size_t i = 0; i < titles.size(); ++i)
      if (!std::count(out.begin(), out.end(), int32_t(i))) {
        left.push_back(titles[i]);
        kept.push_back(int32_t(i));
      }
    for (auto& group : groups) group.beam.excluded = out;
    for (auto& group : full) group.beam.trie = std::make_shared<const Trie>(left);
    const auto masked = decode(policy, groups, {free_step(4)});
    const auto expected = decode(policy, full, {free_step(4)});
    for (size_t g = 0; g < groups.size(); ++g)
      for (size_t s = 0; s < masked[g].size(); ++s) {
        Found want = found(expected[g][s]);
        for (auto& [score, title] : want) title = kept[title];
        expect_found(masked[g][s], want, 0, "excluded");
      }
    for (auto& group : groups)
      for (int32_t i = 0; i < int32_t(titles.size()); ++i) group.beam.excluded.push_back(i);
    for (const auto& group : decode(policy, groups, {free_step(4)}))
      for (const SampleResult& s : group)
        expect(s.beam == std::vector<int32_t>(6, -1), "nothing is left");
  }
}

RR_TEST("beam: what cannot be searched is refused") {
  TinyPolicy policy(select_cpu_kernels());
  auto groups = beam_groups(policy, many_titles(), 0);
  const auto expect_code = [&](const std::string& code) {
    try {
      decode(policy, groups, {});
    } catch (const Error& e) {
      expect(e.code == code, "expected " + code + ", got " + e.code);
      return;
    }
    throw Failure{"expected " + code};
  };
  expect_code("RR_BEAM");
  groups = beam_groups(policy, many_titles(), 3);
  groups[0].beam.excluded = {500};
  expect_code("RR_BEAM");
  groups[0].beam.excluded = {};
  groups[0].beam.trie = std::make_shared<const Trie>(Titles{{9999, 1}});
  expect_code("RR_TOKEN_OUT_OF_RANGE");
  groups[0].beam.trie = std::make_shared<const Trie>(many_titles());
  groups[0].prompt.resize(size_t(policy.config.max_position) - 2, 1);
  expect_code("RR_PROMPT_TOO_LONG");
}

}  // namespace
}  // namespace reasonrec::test
