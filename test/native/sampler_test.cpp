// Trie, stop strings, the sampler's filters against a brute-force sort, and the script's
// transitions.
#include <map>
#include <numeric>

#include "core/check.h"
#include "decode/sampler.h"
#include "decode/script.h"
#include "harness.h"

namespace reasonrec::test {
namespace {

template <class F>
void expect_error(const std::string& code, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    expect(e.code == code, "expected " + code + ", got " + e.code);
    return;
  }
  throw Failure{"expected " + code + ", but nothing was thrown"};
}

// The filters by whole sorts, one after the other, each on a renormalised distribution.
std::vector<double> brute_force(const Sampling& s, const std::vector<float>& logits,
                                const std::vector<int32_t>& history) {
  std::vector<double> l(logits.begin(), logits.end());
  std::vector<bool> seen(l.size());
  for (int32_t id : history) seen[size_t(id)] = true;
  for (size_t i = 0; i < l.size(); ++i)
    if (seen[i])
      l[i] = l[i] > 0 ? l[i] / double(s.repetition_penalty) : l[i] * double(s.repetition_penalty);
  std::vector<double> p(l.size());
  double total = 0;
  for (size_t i = 0; i < l.size(); ++i) total += p[i] = std::exp(l[i] / double(s.temperature));
  for (double& x : p) x /= total;
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  const auto keep = [&](size_t count) {
    double mass = 0;
    for (size_t i = 0; i < order.size(); ++i) i < count ? mass += p[order[i]] : p[order[i]] = 0;
    for (double& x : p) x /= mass;
  };
  if (s.top_k > 0) keep(size_t(s.top_k));
  if (s.top_p < 1) {
    double mass = 0;
    size_t count = 0;
    while (count < order.size() && mass < double(s.top_p)) mass += p[order[count++]];
    keep(std::max<size_t>(1, count));
  }
  if (s.min_p > 0) {
    const double floor = double(s.min_p) * p[order[0]];
    size_t count = 0;
    while (count < order.size() && p[order[count]] >= floor) ++count;
    keep(count);
  }
  return p;
}

RR_TEST("sampler: filters equal a brute-force sort, and draws follow the distribution") {
  Random random(31);
  std::vector<float> logits = random.normals(700, 2);
  for (size_t i = 0; i < 40; ++i) logits[i * 3] = logits[i * 3 + 1];  // ties
  const std::vector<int32_t> history = {4, 9, 4, 333, 699};
  std::vector<Sampling> settings(9);
  settings[1].temperature = 0.6f;
  settings[2].top_k = 7;
  settings[3].top_p = 0.9f;
  settings[4].top_p = 0.01f;
  settings[5].min_p = 0.1f;
  settings[6].repetition_penalty = 1.3f;
  settings[7] = {1.5f, 50, 0.8f, 0.05f, 1.2f};
  settings[8] = {0.8f, 1, 1, 0, 1};
  Sampler sampler;
  for (const Sampling& s : settings) {
    const std::vector<double> want = brute_force(s, logits, history);
    const auto& kept = sampler.distribution(s, logits.data(), nullptr, 700, history.data(),
                                            int64_t(history.size()));
    double mass = 0;
    for (const WeightedToken& t : kept) mass += t.weight;
    std::vector<double> got(700, 0.0);
    int32_t before = -1;
    for (const WeightedToken& t : kept) {
      expect(t.id > before, "ids ascend");
      before = t.id;
      got[size_t(t.id)] = t.weight / mass;
    }
    expect_close(got.data(), want.data(), 700, 1e-12, 1e-9, "distribution");
    // The inverse of the cumulative distribution, at the middle of each token's interval.
    double below = 0;
    for (int32_t id = 0; id < 700; ++id) {
      if (want[size_t(id)] > 1e-9) {
        const int32_t drawn = sampler.draw(s, logits.data(), nullptr, 700, history.data(),
                                           int64_t(history.size()), below + want[size_t(id)] / 2);
        expect(drawn == id, "u inside a token's interval draws it");
      }
      below += want[size_t(id)];
    }
  }
}

RR_TEST("sampler: greedy, ties, restricted draws, refused values") {
  const std::vector<float> logits = {1, 5, 5, 2, -3};
  const std::vector<int32_t> allowed = {0, 3, 4};
  Sampler sampler;
  Sampling greedy;
  greedy.temperature = 0;
  expect(sampler.draw(greedy, logits.data(), nullptr, 5, nullptr, 0, 0.99) == 1,
         "the smaller id wins a tie");
  expect(sampler.draw(greedy, logits.data(), allowed.data(), 3, nullptr, 0, 0.5) == 3,
         "greedy among the allowed");
  Sampling plain;
  for (int i = 0; i < 200; ++i) {
    const int32_t id =
        sampler.draw(plain, logits.data(), allowed.data(), 3, nullptr, 0, (i + 0.5) / 200);
    expect(id == 0 || id == 3 || id == 4, "only allowed tokens are drawn");
  }
  expect(sampler.draw(plain, logits.data(), nullptr, 5, nullptr, 0, 1 - 1e-17) == 4,
         "u at 1 draws the last token");
  Sampling bad;
  bad.top_p = 0;
  expect_error("RR_SAMPLING", [&] { check_sampling(bad); });
}

RR_TEST("trie: children, leaves, refusals") {
  const std::vector<std::vector<int32_t>> titles = {{7, 2, 1}, {7, 2, 3, 1}, {4, 1}, {9, 9, 1}};
  const Trie trie(titles);
  expect(trie.depth() == 4, "depth");
  for (size_t i = 0; i < titles.size(); ++i) {
    int32_t node = Trie::kRoot;
    for (int32_t token : titles[i]) {
      expect(trie.leaf(node) < 0, "inner node");
      int64_t count = 0;
      const int32_t* ids = trie.tokens(node, &count);
      expect(std::is_sorted(ids, ids + count) && std::find(ids, ids + count, token) != ids + count,
             "token allowed");
      node = trie.next(node, token);
    }
    expect(trie.leaf(node) == int32_t(i), "leaf is the sequence's index");
  }
  expect(trie.next(Trie::kRoot, 5) == -1, "an unknown token leads nowhere");
  expect_error("RR_TRIE_EMPTY", [] { Trie{{}}; });
  expect_error("RR_TRIE_EMPTY", [] { Trie({{1}, {}}); });
  expect_error("RR_TRIE_DUPLICATE", [] { Trie({{1, 2}, {3}, {1, 2}}); });
  expect_error("RR_TRIE_NOT_PREFIX_FREE", [] { Trie({{1, 2, 3}, {1, 2, 2}, {1, 2}}); });
}

RR_TEST("stop strings: matches across tokens and inside a token") {
  const std::vector<std::string> stops = {"</think>", "\n\n"};
  StopMatcher m;
  const auto add = [&](const std::string& bytes) {
    return m.append(stops, bytes.data(), int64_t(bytes.size()));
  };
  expect(!add("a </th") && !add("in") && add("k> b"), "spanning three tokens");
  m.reset();
  expect(!add("k>"), "what came before a reset does not count");
  expect(!add("x\n") && add("\n"), "two tokens");
  m.reset();
  expect(add("see</think>more"), "inside one token");
  m.reset();
  expect(!add("</thi") && !add("") && !add("</think") && add(">"),
         "a broken beginning does not hide the next");
}

// The bytes of a vocabulary of single characters: token i is 'a' + i.
VocabularyBytes letters(int64_t n) {
  VocabularyBytes v;
  for (int64_t i = 0; i <= n; ++i) v.offsets.push_back(i);
  for (int64_t i = 0; i < n; ++i) v.bytes.push_back(char('a' + i));
  return v;
}

ScriptStep step_of(StepKind kind) {
  ScriptStep s;
  s.kind = kind;
  return s;
}

RR_TEST("script: stops, given tokens, unclosed thoughts, the choice") {
  const VocabularyBytes bytes = letters(10);
  const Trie trie({{5, 6, 1}, {5, 7, 8, 1}});
  std::vector<ScriptStep> script = {step_of(StepKind::kFree), step_of(StepKind::kGiven),
                                    step_of(StepKind::kChoose)};
  script[0].max_new = 4;
  script[0].stop_strings = {"bc"};
  script[0].stop_tokens = {9};
  script[0].stop_token_ends_sample = false;
  script[1].given = {2, 2};
  script[1].given_if_unclosed = {3};
  expect(script_capacity(script, &trie) == 4 + 2 + 4, "capacity");
  struct Run {
    std::vector<int32_t> drawn, tokens;
    Finish finish;
  };
  const std::vector<Run> runs = {
      {{0, 1, 2, 6}, {8, 0, 1, 2, 2, 2, 5, 6, 1}, Finish::kStopString},
      {{0, 9, 7}, {8, 0, 9, 3, 5, 7, 8, 1}, Finish::kStopToken},
      {{1, 1, 1, 1, 7}, {8, 1, 1, 1, 1, 3, 5, 7, 8, 1}, Finish::kLength}};
  for (const Run& run : runs) {
    SampleResult out;
    ScriptCursor cursor(script, &trie, &bytes, {8}, out);
    for (int32_t token : run.drawn) {
      expect(!cursor.done(), "a decision is awaited");
      cursor.accept(token, -1, 0.5f);
    }
    expect(cursor.done() && out.tokens == run.tokens, "tokens of the row");
    expect(out.finishes[0] == int8_t(run.finish), "how the free step ended");
    expect(out.choice == (run.drawn.back() == 6 ? 0 : 1), "the chosen title");
    expect(
        out.kinds[0] == int8_t(TokenKind::kGiven) && out.kinds.back() == int8_t(TokenKind::kChosen),
        "kinds");
    expect(out.logprobs[0] == 0 && out.logprobs.back() == 0,
           "given and forced tokens have log-prob 0");
  }
  // A stop token that ends the sample; an empty free step.
  script[0].stop_token_ends_sample = true;
  SampleResult out;
  ScriptCursor cursor(script, &trie, &bytes, {}, out);
  cursor.accept(9, -1, 0);
  expect(cursor.done() && out.choice == -1 && out.tokens.size() == 1,
         "the stop token ends the sample");
  script[0].max_new = 0;
  SampleResult empty;
  expect(ScriptCursor(script, &trie, &bytes, {}, empty).restricted(),
         "a free step of no tokens is passed over");
  expect_error("RR_SCRIPT", [&] { check_script(script, nullptr, 10); });
  script[1].given = {10};
  expect_error("RR_TOKEN_OUT_OF_RANGE", [&] { check_script(script, &bytes, 10); });
}

}  // namespace
}  // namespace reasonrec::test
