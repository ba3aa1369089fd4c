// The registry of advantages: the specification's golden values, what a group without spread is
// taught, and the expected gradient of passk_best.
#include "rl/advantage.h"

#include "core/check.h"
#include "harness.h"

namespace reasonrec::test {
namespace {

RewardBatch golden_batch() {
  return {{1, 0, 0, 0.5, 0, 0, 1, 1},
          {1},
          {4, 4},
          std::vector<uint8_t>(8, 1),
          {3, 2, 4, 1, 2, 2, 3, 3},
          {1, 0, 0, 0, 0, 0, 1, 1},
          {0.5, 0.25}};
}

void expect_values(const std::string& name, const std::vector<double>& want,
                   const RewardBatch& batch, const AdvantageOptions& options = {1e-6, 4, false}) {
  const auto got = advantages(advantage_from_name(name), batch, options);
  // the specification gives six places
  expect_close(got.data(), want.data(), int64_t(want.size()), 6e-7, 0, name);
}

RR_TEST("advantage: golden values of the whole registry") {
  const RewardBatch b = golden_batch();
  const double s = 1.009048;
  expect_values("batch_std", {1.261310, -0.756786, -0.756786, 0.252262, -s, -s, s, s}, b);
  expect_values("opo", {0.65, -0.35, -0.35, 0.15, -0.6, -0.6, 0.4, 0.4}, b);
  expect_values("gpg", {1.25, -0.75, -0.75, 0.25, -1, -1, 1, 1}, b);
  expect_values(
      "rf++_baseline",
      {1.206779, -0.847313, -0.847313, 0.179733, -1.104074, -1.104074, 0.950017, 0.950017}, b);
  expect_values(
      "rf++", {1.051384, -0.951252, -0.951252, 0.050066, -0.951252, -0.951252, 1.051384, 1.051384},
      b);
  expect_values("passk_best", {0.5, 0, 0, 0, 0, 0, 0, 0}, b);
  expect_values("passk_best", {0.5 / 0.4787136, 0, 0, 0, 0, 0, 0, 0}, b, {0, 0, true});
  expect_values("remax", {0.5, -0.5, -0.5, 0, -0.25, -0.25, 0.75, 0.75}, b);
  // mean 0.4375, sum of squares 1.71875
  const double n = std::sqrt(1.71875);
  expect_values("latent_r3",
                {0.5625 / n, -0.4375 / n, -0.4375 / n, 0.0625 / n, -0.4375 / n, -0.4375 / n,
                 0.5625 / n, 0.5625 / n},
                b);
  expect_values("gdpo", {0.601514, -1.293939, -0.255302, 0.947727},
                {{1, 0.2, 0, 0.1, 0, 0.4, 1, 0.3}, {1, 0.5}, {4}, {1, 1, 1, 1}, {}, {}, {}},
                {1e-4, 0, false});
}

RR_TEST("advantage: the bonus of pass@k, and grpo with it") {
  const auto expect_bonus = [](int64_t n, int64_t c, int64_t k, double hit, double miss) {
    const PassAtKBonus got = pass_at_k_bonus(n, c, k);
    expect(std::fabs(got.hit - hit) < 6e-7 && std::fabs(got.miss - miss) < 6e-7,
           std::to_string(c) + " hits of " + std::to_string(n) + ": " + std::to_string(got.hit) +
               ", " + std::to_string(got.miss));
  };
  expect_bonus(4, 1, 2, 1, -1.0 / 3);
  expect_bonus(4, 2, 2, 0.447214, -0.447214);
  expect_bonus(4, 0, 2, 0, 0);
  expect_bonus(4, 3, 2, 0, 0);  // any two rows hold a hit
  expect_bonus(3, 1, 4, 0, 0);
  // Over the sets of k rows that hold a row, the bonus is the mean advantage of the sets: all
  // k-sets together have mean 0.
  for (int64_t c = 1; c <= 5; ++c) {
    const PassAtKBonus b = pass_at_k_bonus(8, c, 3);
    expect(std::fabs(double(c) * b.hit + double(8 - c) * b.miss) < 1e-12,
           "the bonuses add up to 0");
  }
  RewardBatch batch = golden_batch();
  const double g = 0.866024;  // grpo of the second group, and two hits of four with k = 2
  const auto got = advantages(Advantage::kPassKBonus, batch, {1e-6, 2, false});
  const std::vector<double> want = {1.305580 + 1,       -0.783348 - 1.0 / 3, -0.783348 - 1.0 / 3,
                                    0.261116 - 1.0 / 3, -g - 0.447214,       -g - 0.447214,
                                    g + 0.447214,       g + 0.447214};
  expect_close(got.data(), want.data(), 8, 1.2e-6, 0, "passk_bonus");  // two rounded numbers
}

RR_TEST("advantage: which estimators teach nothing to a group without spread") {
  RewardBatch b = golden_batch();
  b.rewards = {0.1, 0.1, 0.1, 0.1, 0, 0.25, 1, -1};
  b.hits = {0, 0, 0, 0, 1, 0, 1, 0};
  for (const char* name :
       {"grpo", "dr_grpo", "batch_std", "rloo", "opo", "gpg", "passk_best", "passk_bonus"})
    for (const double epsilon : {0.0, 1e-6}) {
      const auto got = advantages(advantage_from_name(name), b, {epsilon, 2, true});
      for (int i = 0; i < 4; ++i) expect(got[size_t(i)] == 0, std::string(name) + " teaches");
      expect(got[6] != 0, std::string(name) + " teaches nothing to the other group");
    }
  for (const char* name : {"rf++", "rf++_baseline", "latent_r3", "remax"}) {
    const auto got = advantages(advantage_from_name(name), b, {1e-6, 2, false});
    expect(got[0] != 0 && got[0] == got[3], std::string(name) + " centres over the batch");
  }
  // gdpo asks each term for its spread, not their sum.
  const auto terms = advantages(Advantage::kGdpo,
                                {{3, 0, 1, 4, 0, 6}, {1, 0.5}, {3}, {1, 1, 1}, {}, {}, {}}, {1e-4});
  expect(terms[0] > 0.1 && terms[2] < -0.1, "terms that cancel in the sum");
}

RR_TEST("advantage: a row that is not valid is as if it were not there") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  RewardBatch with = golden_batch(), without = golden_batch();
  with.rewards = {1, nan, 0, 0.5, 0, 0.2, nan, 1};
  with.valid = {1, 0, 1, 1, 1, 1, 0, 1};
  const std::vector<size_t> kept = {0, 2, 3, 4, 5, 7};
  without.rewards.clear(), without.valid.clear(), without.lengths.clear(), without.hits.clear();
  without.group_sizes = {3, 3};
  for (size_t i : kept) {
    without.rewards.push_back(with.rewards[i]);
    without.valid.push_back(1);
    without.lengths.push_back(with.lengths[i]);
    without.hits.push_back(with.hits[i]);
  }
  for (const char* name : {"grpo", "dr_grpo", "batch_std", "rloo", "rf++", "rf++_baseline", "remax",
                           "opo", "gpg", "passk_best", "passk_bonus", "gdpo", "latent_r3"}) {
    const Advantage kind = advantage_from_name(name);
    const auto a = advantages(kind, with, {1e-6, 2, false});
    const auto b = advantages(kind, without, {1e-6, 2, false});
    expect(a[1] == 0 && a[6] == 0, "no advantage");
    for (size_t i = 0; i < kept.size(); ++i) expect(a[kept[i]] == b[i], name);
  }
}

RR_TEST("advantage: rf++ per token, against plain loops") {
  RewardBatch b = golden_batch();
  b.valid[3] = 0;
  Random random(4);
  std::vector<double> penalties(20);
  for (double& p : penalties) p = 0.1 * random.normal();
  const double gamma = 0.9;
  const auto got = token_advantages(b, penalties, gamma);
  std::vector<double> returns, counted;
  size_t first = 0;
  for (size_t i = 0; i < 8; ++i) {
    const size_t n = size_t(b.lengths[i]);
    for (size_t t = 0; t < n; ++t) {
      double sum = b.rewards[i] * std::pow(gamma, double(n - 1 - t));
      for (size_t s = t; s < n; ++s) sum -= std::pow(gamma, double(s - t)) * penalties[first + s];
      returns.push_back(sum);
      if (b.valid[i]) counted.push_back(sum);
    }
    first += n;
  }
  double mean = 0, variance = 0;
  for (double x : counted) mean += x / double(counted.size());
  for (double x : counted) variance += (x - mean) * (x - mean) / double(counted.size() - 1);
  for (size_t t = 0; t < 20; ++t) {
    const double want = t == 9 ? 0 : (returns[t] - mean) / std::sqrt(variance + 1e-8);
    expect(std::fabs(got[t] - want) < 1e-12, "token " + std::to_string(t));
  }
  // Without discount and penalty, every token has the advantage of its row.
  const auto plain = token_advantages(golden_batch(), {}, 1);
  const auto rows = advantages(Advantage::kRfpp, golden_batch(), {});
  size_t t = 0;
  for (size_t i = 0; i < 8; ++i)
    for (int32_t n = 0; n < b.lengths[i]; ++n)
      expect(std::fabs(plain[t++] - rows[i]) < 1e-12, "row " + std::to_string(i));
}

// Rewards 0 or 1 with probability p = sigmoid(x) each: the gradient of log-prob is 1 - p for a hit,
// -p for a miss. Summed over all outcomes, passk_best's expected gradient is that of
// 1 - (1 - p)^n, the probability that the best of n is a hit: n p (1 - p)^n.
RR_TEST("advantage: passk_best climbs the best of n, exactly") {
  for (const int n : {2, 5, 8})
    for (const double p : {0.05, 0.3, 0.58, 0.9}) {
      double expected = 0;
      for (int outcome = 0; outcome < 1 << n; ++outcome) {
        std::vector<double> rewards;
        double probability = 1;
        for (int i = 0; i < n; ++i) {
          rewards.push_back(outcome >> i & 1);
          probability *= rewards.back() > 0 ? p : 1 - p;
        }
        const auto a =
            advantages(Advantage::kPassKBest, rewards, {n}, std::vector<uint8_t>(size_t(n), 1), 0);
        for (int i = 0; i < n; ++i)
          expected += probability * a[size_t(i)] * (rewards[size_t(i)] - p);
      }
      const double want = n * p * std::pow(1 - p, n);
      expect(std::fabs(expected - want) < 1e-12,
             std::to_string(expected) + ", expected " + std::to_string(want));
    }
}

RR_TEST("advantage: what is missing is named") {
  const auto refused = [](const char* name, RewardBatch b, const char* code) {
    try {
      advantages(advantage_from_name(name), b, {1e-6, 2, false});
    } catch (const Error& e) {
      expect(e.code == code, e.code);
      return;
    }
    throw Failure{std::string(name) + " was computed"};
  };
  RewardBatch b = golden_batch();
  b.lengths.clear(), b.hits.clear(), b.baselines.clear();
  for (const char* name : {"opo", "rf++", "rf++_baseline", "remax", "passk_bonus"})
    refused(name, b, "RR_SHAPE_MISMATCH");
  b.rewards.pop_back();
  refused("grpo", b, "RR_SHAPE_MISMATCH");
  b.rewards.push_back(std::numeric_limits<double>::infinity());
  refused("gpg", b, "RR_NON_FINITE");
  refused("ppo", golden_batch(), "RR_UNKNOWN_ESTIMATOR");
}

}  // namespace
}  // namespace reasonrec::test
