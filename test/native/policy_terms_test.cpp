// Every policy loss and KL estimator: the specification's golden values, every gradient against
// central differences of formulas written separately, and the identities that tie losses together.
#include "ops/policy_terms.h"
#include "core/check.h"
#include "harness.h"
#include "ops/policy_loss.h"
#include "ops/preference_loss.h"
#include "rl/token_selection.h"

namespace reasonrec::test {
namespace {

const std::vector<const char*> kPolicyLosses = {"ppo_clip", "two_sided", "gspo",     "gspo_token",
                                                "luspo",    "cispo",     "gmpo",     "sapo",
                                                "clip_cov", "kl_cov",    "reinforce"};
const std::vector<const char*> kKls = {"k1", "k2", "k3", "abs", "k1+", "k3+", "abs+", "unbiased"};

PolicyLossConfig config_of(const std::string& name) {
  PolicyLossConfig c;
  c.loss = policy_loss_from_name(name);
  if (name == "two_sided") c.ratio_cap = 4;
  if (name == "gmpo") c.clip_low = c.clip_high = 0.4f;
  if (name == "sapo") c.tau_gain = 1, c.tau_loss = 1.05f;
  if (name == "kl_cov") c.cov_penalty = 1;
  return c;
}

// Two sequences of 3 and 2 tokens, weighted.
PolicyTokens golden_tokens(Aggregation aggregation) {
  PolicyTokens t;
  t.logprob = {-1, -0.5f, -2, -0.3f, -1.2f};
  t.old_logprob = {-1.2f, -0.4f, -1.5f, -0.7f, -1.0f};
  t.reference = {-1.1f, -0.6f, -1.9f, -0.5f, -1.1f};
  t.advantage = {1, 1, 1, -0.8f, -0.8f};
  t.lengths = {3, 2};
  const auto w = aggregation_weights(aggregation, t.lengths, 4);
  t.weight = {w[0], w[0], w[0], w[1], w[1]};
  return t;
}

void expect_value(double got, double want, const std::string& what) {
  // Golden values have six places; inputs are rounded to fp32 (6e-8 relative).
  expect(std::fabs(got - want) <= 1.2e-6,
         what + ": " + std::to_string(got) + ", expected " + std::to_string(want));
}

RR_TEST("policy terms: golden values") {
  const auto loss = [](PolicyLossConfig c, Aggregation aggregation = Aggregation::kTokenMean) {
    return policy_loss(c, golden_tokens(aggregation), nullptr).loss;
  };
  // A sequence's value once per sequence: its tokens carry it, their mean is it.
  const Aggregation by_sequence = Aggregation::kSeqMeanTokenMean;
  for (const char* name : {"gspo", "gspo_token"}) {
    PolicyLossConfig c = config_of(name);
    expect_value(loss(c, by_sequence), 0.004482, name);
    c.clip_low = 3e-4f, c.clip_high = 4e-4f;
    expect_value(loss(c, by_sequence), 0.004482, std::string(name) + ", narrow clip");
  }
  expect_value(loss(config_of("luspo"), by_sequence),
               loss(config_of("gspo"), Aggregation::kSeqMeanTokenSum), "luspo");
  PolicyLossConfig cispo = config_of("cispo");
  expect_value(loss(cispo), 0.436128, "cispo on both sides");
  cispo.ratio_cap = 5;
  expect_value(loss(cispo), 0.348573, "cispo with a cap");
  expect_value(loss(config_of("gmpo"), by_sequence), 0.004482, "gmpo");
  expect_value(loss(config_of("sapo"), by_sequence), -0.134161, "sapo over sequences");
  expect_value(loss(config_of("sapo")), -0.489792, "sapo over tokens");
  expect_value(loss(config_of("clip_cov")), -0.176865, "clip_cov is ppo_clip where none is chosen");

  PolicyLossConfig sdpo = config_of("sdpo"), simpo = config_of("simpo");
  sdpo.preference_beta = 1;
  const double margins[4] = {0.2, -0.3, 0.1, -0.6};
  expect_value(preference_term(sdpo, margins, 4, nullptr), 1.085425, "sdpo");
  simpo.preference_beta = 2, simpo.preference_margin = 0.5f;
  const double means[2] = {-1, -1.6};
  expect_value(preference_term(simpo, means, 2, nullptr), 0.403186, "simpo");

  const auto single = [](const char* name, double ratio, float advantage) {
    const float old = -3, logprob = float(-3 + std::log(ratio));
    PolicyTerm term;
    policy_terms(config_of(name), &logprob, &old, &advantage, nullptr, 1, &term);
    return term;
  };
  expect_value(single("two_sided", 12, -1).value, 4, "two_sided caps the ratio");
  expect(single("two_sided", 12, -1).gradient == 0, "no gradient beyond the cap");
  for (const char* name : {"ppo_clip", "two_sided", "gspo", "gspo_token", "clip_cov"}) {
    const PolicyTerm high = single(name, 1.491825, 1), low = single(name, 0.606531, -1);
    expect_value(high.value, -1.28, std::string(name) + " clipped above");
    expect_value(low.value, 0.8, std::string(name) + " clipped below");
    expect(high.gradient == 0 && low.gradient == 0, std::string(name) + ": clipped, no gradient");
    expect(high.clipped_high && low.clipped_low, std::string(name) + ": counted");
  }
  const PolicyTerm high = single("gmpo", 1.6, 1), low = single("gmpo", 0.6, -1);
  expect_value(high.value, -std::exp(0.4), "gmpo clipped above");
  expect_value(low.value, std::exp(-0.4), "gmpo clipped below");
  expect(high.gradient == 0 && low.gradient == 0 && high.clipped_high && low.clipped_low, "gmpo");
}

RR_TEST("policy terms: KL estimators") {
  const auto term = [](const char* name, double x, double d = 0) {
    return kl_term(kl_from_name(name), -1 + x, -1, -1 + x - d);
  };
  for (const char* name : kKls) expect(term(name, 0).value == 0, std::string(name) + " at 0");
  expect(term("k1", 0).gradient == 1 && term("k3", 0).gradient == 0, "gradients at 0");
  const double x = 0.3, k3 = std::exp(-x) + x - 1;
  for (const char* name : {"k1+", "k3+", "abs+"}) {
    const std::string plain = std::string(name).substr(0, std::string(name).size() - 1);
    expect(term(name, x).value == term(plain.c_str(), x).value, std::string(name) + ": value");
    expect(std::fabs(term(name, x).gradient - x) < 1e-15, std::string(name) + ": gradient of k2");
  }
  expect_value(term("abs", -x).value, x, "abs");
  expect(term("abs", -x).gradient == -1, "gradient of abs");
  // rho k3: value and, with d rho = rho, gradient rho (k3 + 1 - exp(-x)) = rho x
  expect_value(term("unbiased", x, 0.2).value, std::exp(0.2) * k3, "unbiased");
  expect_value(term("unbiased", x, 0.2).gradient, std::exp(0.2) * x, "gradient of unbiased");
}

struct Drawn {
  PolicyTokens tokens;
  explicit Drawn(uint64_t seed, const std::vector<int64_t>& lengths, double drift) {
    Random random(seed);
    tokens.lengths = lengths;
    const auto weights = aggregation_weights(Aggregation::kSeqMeanTokenSum, lengths, 0);
    for (size_t s = 0; s < lengths.size(); ++s)
      for (int64_t t = 0; t < lengths[s]; ++t) {
        tokens.logprob.push_back(float(-0.1 - 3 * random.uniform()));
        tokens.old_logprob.push_back(tokens.logprob.back() + float(drift * random.normal()));
        tokens.reference.push_back(tokens.logprob.back() + float(0.5 * random.normal()));
        tokens.advantage.push_back(float(random.normal()));  // one per token
        tokens.treatment.push_back(uint8_t(random.integer(3)));
        tokens.weight.push_back(weights[s]);
      }
  }
};

// Value and gradient of every token of `drawn` under `c`.
void check_against_differences(const std::string& what, const PolicyLossConfig& c,
                               const PolicyTokens& tokens) {
  const size_t n = tokens.logprob.size();
  std::vector<float> gradient = nans(int64_t(n));
  const PolicyLossSums sums = policy_loss(c, tokens, gradient.data());
  const std::vector<double> held = to_double(tokens.logprob), old = to_double(tokens.old_logprob),
                            reference = to_double(tokens.reference),
                            advantage = to_double(tokens.advantage);
  std::vector<double> x = held;
  double total = 0;
  size_t first = 0;
  for (const int64_t length : tokens.lengths) {
    const auto value = [&] {
      return tokens.weight[first] * sequence_loss_reference(c, &x[first], &held[first], &old[first],
                                                            &reference[first], &advantage[first],
                                                            &tokens.treatment[first], length);
    };
    total += value();
    for (size_t i = first; i < first + size_t(length); ++i) {
      const double want = central_difference(value, x, i, 1e-6);
      // h = 1e-6 in fp64: truncation and cancellation stay near 1e-9 of the loss's size
      expect(std::fabs(gradient[i] - want) <= 1e-8 + 1e-6 * (std::fabs(want) + std::fabs(value())),
             what + ": gradient of token " + std::to_string(i) + ": " +
                 std::to_string(gradient[i]) + ", expected " + std::to_string(want));
    }
    first += size_t(length);
  }
  expect(std::fabs(sums.loss - total) <= 1e-12 * (1 + std::fabs(total)), what + ": value");
}

RR_TEST("policy terms: gradients against central differences, every loss and KL") {
  for (const double drift : {0.02, 0.6}) {
    const Drawn drawn(7, {5, 1, 9, 4}, drift);
    for (const char* loss : kPolicyLosses)
      for (const char* kl : kKls) {
        PolicyLossConfig c = config_of(loss);
        c.beta = 0.3f;
        c.kl = kl_from_name(kl);
        check_against_differences(std::string(loss) + ", " + kl, c, drawn.tokens);
        c.off_policy_limit = 0.05f;
        check_against_differences(std::string(loss) + ", masked, " + kl, c, drawn.tokens);
      }
  }
  // One advantage in a sequence, as a rollout has it.
  Drawn drawn(8, {6, 3}, 0.3);
  for (size_t i = 0; i < 9; ++i) drawn.tokens.advantage[i] = i < 6 ? 0.7f : -1.1f;
  PolicyLossConfig cispo = config_of("cispo");
  cispo.ratio_cap = 1.1f;
  check_against_differences("cispo with a cap", cispo, drawn.tokens);
  for (const char* loss : kPolicyLosses)
    check_against_differences(loss, config_of(loss), drawn.tokens);
}

RR_TEST("policy terms: before the first update every loss has the plain gradient") {
  Drawn drawn(9, {4, 7, 2}, 0);
  PolicyTokens& t = drawn.tokens;
  t.treatment.clear();
  for (size_t i = 0; i < t.advantage.size(); ++i)
    t.advantage[i] = i < 4 ? 0.9f : i < 11 ? -1.3f : 2;
  std::vector<float> plain(t.logprob.size()), got(t.logprob.size());
  policy_loss(config_of("reinforce"), t, plain.data());
  for (const char* loss : kPolicyLosses) {
    const PolicyLossSums sums = policy_loss(config_of(loss), t, got.data());
    expect(sums.clipped_low == 0 && sums.clipped_high == 0 && sums.left_out == 0,
           "nothing clipped");
    expect(sums.ratio_sum == double(t.logprob.size()), "every ratio is 1");
    const bool by_length = std::string(loss) == "luspo";
    size_t first = 0;
    for (const int64_t length : t.lengths)
      for (int64_t k = 0; k < length; ++k, ++first)
        expect(std::fabs(got[first] - plain[first] * (by_length ? float(length) : 1)) <=
                   2e-7f * std::fabs(got[first]),
               std::string(loss) + ": token " + std::to_string(first));
  }
}

RR_TEST("policy terms: tokens that are left out, and sequences far from the sampling policy") {
  PolicyTokens t = golden_tokens(Aggregation::kTokenMean);
  std::vector<float> gradient(5);
  t.treatment = {0, kTokenLeftOut, 0, 0, kTokenLeftOut};
  for (const char* loss : kPolicyLosses) {
    const PolicyLossSums sums = policy_loss(config_of(loss), t, gradient.data());
    expect(sums.left_out == 2, "counted");
    const std::string name = loss;
    const bool whole = name == "gspo" || name == "luspo" || name == "gmpo";
    expect(whole || (gradient[1] == 0 && gradient[4] == 0), name + ": no gradient of its own");
    expect(gradient[0] != 0, name + ": the others have one");
  }
  t.treatment.clear();
  PolicyLossConfig c;
  c.off_policy_limit = 0.01f;
  // mean of old - logp: 0.1333 of the first, -0.1 of the second, whose advantage is negative
  expect(policy_loss(c, t, nullptr).left_out == 0, "only negative advantages leave");
  for (float& a : t.advantage) a = -a;
  expect(policy_loss(c, t, nullptr).left_out == 3, "the first sequence leaves");
  c.off_policy_limit = 0.2f;
  expect(policy_loss(c, t, nullptr).left_out == 0, "within the limit");
}

RR_TEST("preference losses: gradients against central differences; dpo is sdpo with one loser") {
  for (const char* name : {"dpo", "sdpo", "simpo"}) {
    Drawn drawn(12, {3, 5, 2, 4}, 0.3);
    PolicyTokens& t = drawn.tokens;
    t.group_sizes =
        std::string(name) == "sdpo" ? std::vector<int64_t>{4} : std::vector<int64_t>{2, 2};
    PolicyLossConfig c = config_of(name);
    c.preference_beta = 0.7f, c.preference_margin = 0.4f;
    std::vector<float> gradient = nans(14);
    const PolicyLossSums sums = policy_loss(c, t, gradient.data());
    std::vector<double> x = to_double(t.logprob);
    const auto value = [&] {  // written out, pair by pair
      std::vector<double> score(4, 0.0);
      size_t i = 0;
      for (size_t s = 0; s < 4; ++s)
        for (int64_t k = 0; k < t.lengths[s]; ++k, ++i)
          score[s] += c.loss == PolicyLoss::kSimpo ? x[i] / double(t.lengths[s])
                                                   : x[i] - double(t.reference[i]);
      const double beta = c.preference_beta;
      const auto nll = [](double z) { return std::log(1 + std::exp(-z)); };
      if (c.loss == PolicyLoss::kSdpo) {
        double sum = 0;
        for (size_t s = 1; s < 4; ++s) sum += std::exp(beta * (score[s] - score[0]));
        return t.weight[0] * nll(-std::log(sum));
      }
      const double margin = c.loss == PolicyLoss::kSimpo ? double(c.preference_margin) : 0;
      return t.weight[0] * (nll(beta * (score[0] - score[1]) - margin) +
                            nll(beta * (score[2] - score[3]) - margin));
    };
    expect(std::fabs(sums.loss - value()) < 1e-12, std::string(name) + ": value");
    for (size_t i = 0; i < 14; ++i)
      expect(std::fabs(gradient[i] - central_difference(value, x, i, 1e-6)) < 1e-7,
             std::string(name) + ": gradient of token " + std::to_string(i));
  }
  Drawn drawn(13, {3, 5}, 0.3);
  drawn.tokens.group_sizes = {2};
  std::vector<float> one(8), many(8);
  PolicyLossConfig c = config_of("dpo");
  c.preference_beta = 0.1f;
  policy_loss(c, drawn.tokens, one.data());
  c.loss = PolicyLoss::kSdpo;
  policy_loss(c, drawn.tokens, many.data());
  expect_same_bits(one.data(), many.data(), 8, "one loser");
}

RR_TEST("policy losses: what is missing is refused") {
  const auto refused = [](PolicyLossConfig c, const PolicyTokens& t, const char* code) {
    try {
      policy_loss(c, t, nullptr);
    } catch (const Error& e) {
      expect(e.code == code, e.code);
      return;
    }
    throw Failure{"it was computed"};
  };
  PolicyTokens t = golden_tokens(Aggregation::kTokenMean);
  for (const char* name : {"two_sided", "sapo", "kl_cov", "dpo", "sdpo", "simpo"}) {
    PolicyLossConfig bare;
    bare.loss = policy_loss_from_name(name);
    refused(bare, t, "RR_BAD_ARGUMENT");
  }
  PolicyLossConfig dpo = config_of("dpo");
  dpo.preference_beta = 1;
  t.group_sizes = {1, 1};
  refused(dpo, t, "RR_BAD_ARGUMENT");
  t.group_sizes = {};
  refused(dpo, t, "RR_SHAPE_MISMATCH");
  t.group_sizes = {2};
  t.reference.clear();
  refused(dpo, t, "RR_BAD_ARGUMENT");
  t.lengths = {3, 3};
  refused({}, t, "RR_SHAPE_MISMATCH");
}

RR_TEST("token selection: covariance and entropy") {
  Random random(3);
  std::vector<float> logprob(100), advantage(100), entropy(100);
  for (size_t i = 0; i < 100; ++i) {
    logprob[i] = float(-3 * random.uniform());
    advantage[i] = float(random.normal());
    entropy[i] = float(random.uniform());
  }
  double a = 0, p = 0;
  for (size_t i = 0; i < 100; ++i) a += advantage[i] / 100.0, p += logprob[i] / 100.0;
  const auto covariance = [&](size_t i) { return (advantage[i] - a) * (logprob[i] - p); };
  const auto count = [](const std::vector<uint8_t>& x, uint8_t what) {
    return std::count(x.begin(), x.end(), what);
  };
  const auto top = kl_cov_tokens(logprob, advantage, 0.05);
  expect(count(top, kTokenPenalised) == 5, "five of a hundred");
  for (size_t i = 0; i < 100; ++i)
    for (size_t j = 0; j < 100; ++j)
      expect(top[i] == 0 || top[j] != 0 || covariance(i) >= covariance(j), "the largest");
  expect(count(kl_cov_tokens(logprob, advantage, 2e-4), kTokenPenalised) == 1, "at least one");
  const auto some = clip_cov_tokens(logprob, advantage, 0.03, 0.5, 2, 1, 2);
  expect(count(some, kTokenLeftOut) == 3, "three of a hundred");
  for (size_t i = 0; i < 100; ++i)
    expect(some[i] == 0 || (covariance(i) > 0.5 && covariance(i) < 2), "within the bounds");
  expect(some == clip_cov_tokens(logprob, advantage, 0.03, 0.5, 2, 1, 2), "the same draw");
  expect(some != clip_cov_tokens(logprob, advantage, 0.03, 0.5, 2, 1, 3), "another stream");
  expect(count(clip_cov_tokens(logprob, advantage, 0.5, 50, 60, 1, 2), kTokenLeftOut) == 0,
         "none within the bounds");
  const auto low = low_entropy_tokens(entropy, 0.2);
  expect(count(low, kTokenPlain) == 20, "a fifth is kept");
  for (size_t i = 0; i < 100; ++i)
    for (size_t j = 0; j < 100; ++j)
      expect(low[i] != 0 || low[j] == 0 || entropy[i] > entropy[j], "the highest");
  TokenSelection both;
  both.loss = PolicyLoss::kKlCov;
  both.share = 0.05;
  both.keep_entropy = 0.2;
  const auto selected = select_tokens(both, logprob, advantage, entropy);
  for (size_t i = 0; i < 100; ++i)
    expect(selected[i] == (low[i] ? low[i] : top[i]), "both, left out first");
}

}  // namespace
}  // namespace reasonrec::test
