// Advantages, aggregation and the policy loss: the specification's golden values, and every
// gradient against central differences of a formula written separately.
#include "ops/policy_loss.h"
#include "core/check.h"
#include "harness.h"
#include "rl/advantage.h"

namespace reasonrec::test {
namespace {

RR_TEST("advantage: golden values") {
  const std::vector<double> rewards = {1, 0, 0, 0.5, 0, 0, 1, 1};
  const std::vector<uint8_t> valid(8, 1);
  const auto check_values = [&](Advantage a, const std::vector<double>& want) {
    const auto got = advantages(a, rewards, {4, 4}, valid, 1e-6);
    expect_close(got.data(), want.data(), 8, 6e-7, 0,
                 "advantages");  // the values are given to six places
  };
  check_values(Advantage::kGrpo, {1.305580, -0.783348, -0.783348, 0.261116, -0.866024, -0.866024,
                                  0.866024, 0.866024});
  check_values(Advantage::kDrGrpo, {0.625, -0.375, -0.375, 0.125, -0.5, -0.5, 0.5, 0.5});
  check_values(Advantage::kRloo,
               {0.833333, -0.5, -0.5, 0.166667, -0.666667, -0.666667, 0.666667, 0.666667});
}

RR_TEST("advantage: invalid rows, equal rewards, groups of one") {
  const double inf = std::numeric_limits<double>::infinity();
  // The second row is invalid: the others are as if it were not there.
  const auto with = advantages(Advantage::kGrpo, {1, inf, 0, 0.5}, {4}, {1, 0, 1, 1}, 1e-6);
  const auto without = advantages(Advantage::kGrpo, {1, 0, 0.5}, {3}, {1, 1, 1}, 1e-6);
  expect(with[0] == without[0] && with[1] == 0 && with[2] == without[1] && with[3] == without[2],
         "invalid row");
  for (const Advantage a : {Advantage::kGrpo, Advantage::kDrGrpo, Advantage::kRloo}) {
    for (double x : advantages(a, {0.1, 0.1, 0.1}, {3}, {1, 1, 1}, 1e-6))
      expect(x == 0, "equal rewards teach nothing");
    expect(std::fabs(advantages(a, {0.7}, {1}, {1}, 1e-6)[0] - 0.7) < 1e-6,
           "a group of one: mean 0, std 1");
  }
}

// Two sequences of 3 and 2 tokens.
const std::vector<float> kLogprob = {-1, -0.5f, -2, -0.3f, -1.2f},
                         kOld = {-1.2f, -0.4f, -1.5f, -0.7f, -1.0f},
                         kReference = {-1.1f, -0.6f, -1.9f, -0.5f, -1.1f},
                         kAdvantage = {1, 1, 1, -0.8f, -0.8f};

PolicyLossSums golden(const PolicyLossConfig& config) {
  const auto w = aggregation_weights(config.aggregation, {3, 2}, config.max_length);
  const std::vector<double> weight = {w[0], w[0], w[0], w[1], w[1]};
  return policy_loss(config, kLogprob.data(), kOld.data(), kReference.data(), nullptr,
                     kAdvantage.data(), weight.data(), 5, nullptr);
}

void expect_value(double got, double want, const std::string& what) {
  // Golden values have six places; inputs are rounded to fp32 (6e-8 relative).
  expect(std::fabs(got - want) <= 1.2e-6,
         what + ": " + std::to_string(got) + ", expected " + std::to_string(want));
}

RR_TEST("policy loss: golden values") {
  PolicyLossConfig c;
  expect_value(golden(c).loss, -0.176865, "token_mean");
  c.aggregation = Aggregation::kSeqMeanTokenSum;
  expect_value(golden(c).loss, -0.442163, "seq_mean_token_sum");
  c.aggregation = Aggregation::kSeqMeanTokenMean;
  expect_value(golden(c).loss, 0.006649, "seq_mean_token_mean");
  c.aggregation = Aggregation::kConstNorm;
  c.max_length = 4;
  expect_value(golden(c).loss, -0.110541, "const_norm");
  c.aggregation = Aggregation::kTokenMean;
  c.kl = KlKind::kK1;
  expect_value(golden(c).kl, 0.04, "k1");
  c.kl = KlKind::kK2;
  expect_value(golden(c).kl, 0.008, "k2");
  c.kl = KlKind::kK3;
  expect_value(golden(c).kl, 0.007749, "k3");

  const auto single = [](double ratio, float advantage, float dual) {
    PolicyLossConfig one;
    one.dual_clip = dual;
    const float old = -3, logprob = float(-3 + std::log(ratio)), weight_free = advantage;
    const double weight = 1;
    float gradient = 99;
    const auto sums =
        policy_loss(one, &logprob, &old, nullptr, nullptr, &weight_free, &weight, 1, &gradient);
    return std::pair(sums, gradient);
  };
  expect_value(single(1.491825, 1, 0).first.loss, -1.28, "clipped above");
  expect(single(1.491825, 1, 0).second == 0, "no gradient when clipped above");
  expect(single(1.491825, 1, 0).first.clipped_high == 1, "counted as clipped above");
  expect_value(single(0.606531, -1, 0).first.loss, 0.8, "clipped below");
  expect(single(0.606531, -1, 0).second == 0, "no gradient when clipped below");
  expect(single(0.606531, -1, 0).first.clipped_low == 1, "counted as clipped below");
  expect_value(single(12, -1, 3).first.loss, 3, "dual clip");
  expect(single(12, -1, 3).second == 0, "no gradient beyond the dual clip");
  expect(std::fabs(single(12, -1, 0).first.loss - 12) < 1e-5, "without dual clip");
}

RR_TEST("policy loss: gradients against central differences, every loss, KL and aggregation") {
  Random random(5);
  const std::vector<int64_t> lengths = {5, 0, 9, 3};
  const int64_t n = 17;
  std::vector<float> logprob(n), old(n), reference(n), advantage(n);
  for (int64_t i = 0; i < n; ++i) {
    logprob[i] = float(-0.1 - 3 * random.uniform());
    old[i] = logprob[i] + float(0.6 * random.normal());
    reference[i] = logprob[i] + float(0.5 * random.normal());
    advantage[i] = float(random.normal());
  }
  old[3] = logprob[3] - 25;  // beyond the clamp of the exponent
  advantage[3] = -0.5f;
  reference[4] = logprob[4] + 30;
  for (const PolicyLoss loss : {PolicyLoss::kPpoClip, PolicyLoss::kReinforce})
    for (const float dual : {0.0f, 3.0f})
      for (const KlKind kl : {KlKind::kK1, KlKind::kK2, KlKind::kK3})
        for (const Aggregation aggregation :
             {Aggregation::kTokenMean, Aggregation::kSeqMeanTokenMean,
              Aggregation::kSeqMeanTokenSum, Aggregation::kConstNorm}) {
          PolicyLossConfig c;
          c.loss = loss;
          c.dual_clip = dual;
          c.kl = kl;
          c.beta = 0.3f;
          c.aggregation = aggregation;
          c.max_length = 12;
          const auto weights = aggregation_weights(aggregation, lengths, 12);
          std::vector<double> weight;
          for (size_t s = 0; s < lengths.size(); ++s)
            weight.insert(weight.end(), size_t(lengths[s]), weights[s]);
          std::vector<float> gradient = nans(n);
          const auto sums = policy_loss(c, logprob.data(), old.data(), reference.data(), nullptr,
                                        advantage.data(), weight.data(), n, gradient.data());
          double total = 0;
          std::vector<double> x(logprob.begin(), logprob.end());
          for (int64_t i = 0; i < n; ++i) {
            const auto value = [&] {
              return weight[i] * policy_loss_reference(c, x[i], old[i], reference[i], advantage[i]);
            };
            total += value();
            const double want = central_difference(value, x, size_t(i), 1e-6);
            // h = 1e-6 in fp64: truncation and cancellation stay near 1e-9 of the loss's size
            expect(std::fabs(gradient[i] - want) <=
                       1e-8 + 1e-6 * (std::fabs(want) + std::fabs(value())),
                   "gradient of token " + std::to_string(i) + ": " + std::to_string(gradient[i]) +
                       ", expected " + std::to_string(want));
          }
          expect(std::fabs(sums.loss - total) <= 1e-12 * (1 + std::fabs(total)), "value");
        }
}

RR_TEST(
    "policy loss: on policy, clipped and plain gradients agree; the KL's gradient is 0 at its "
    "minimum") {
  const std::vector<float> logprob = {-1, -0.2f}, advantage = {0.7f, -1.3f};
  const std::vector<double> weight = {0.5, 0.5};
  PolicyLossConfig clip, plain;
  plain.loss = PolicyLoss::kReinforce;
  clip.beta = 0.1f;  // k3: 1 - exp(0) = 0 exactly
  std::vector<float> a(2), b(2);
  const auto sums = policy_loss(clip, logprob.data(), logprob.data(), logprob.data(), nullptr,
                                advantage.data(), weight.data(), 2, a.data());
  policy_loss(plain, logprob.data(), logprob.data(), nullptr, nullptr, advantage.data(),
              weight.data(), 2, b.data());
  expect_same_bits(a.data(), b.data(), 2, "gradients");
  expect(sums.kl == 0 && sums.ratio_sum == 2 && sums.max_abs_log_ratio == 0,
         "KL 0 and ratio 1, exactly");
  for (const char* name : {"ppo_clip", "reinforce"}) policy_loss_from_name(name);
  try {
    policy_loss_from_name("ppo");
    throw Failure{"an unknown loss was accepted"};
  } catch (const Error& e) {
    expect(e.code == "RR_UNKNOWN_LOSS", e.code);
  }
}

}  // namespace
}  // namespace reasonrec::test
