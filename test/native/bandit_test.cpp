// A two-armed bandit with a closed-form policy, p = sigmoid(x): driven by the advantages and losses
// of this library, every estimator with every loss finds the better arm.
#include "harness.h"
#include "ops/policy_loss.h"
#include "rl/advantage.h"
#include "rl/token_selection.h"

namespace reasonrec::test {
namespace {

constexpr int kGroups = 8, kGroup = 8, kSteps = 120, kInner = 2;

struct Bandit {
  double x = -1;  // p = 0.27 at the start
  double first = 0, second = 0;
  int updates = 0;

  double p() const { return 1 / (1 + std::exp(-x)); }
  double logprob(int arm) const { return std::log(arm ? p() : 1 - p()); }
  void adam(double gradient) {
    ++updates;
    first = 0.9 * first + 0.1 * gradient;
    second = 0.99 * second + 0.01 * gradient * gradient;
    const double m = first / (1 - std::pow(0.9, updates)),
                 v = second / (1 - std::pow(0.99, updates));
    x -= 0.05 * m / (std::sqrt(v) + 1e-8);
  }
};

PolicyLossConfig loss_config(const std::string& name) {
  PolicyLossConfig c;
  c.loss = policy_loss_from_name(name);
  if (name == "two_sided") c.ratio_cap = 4;
  if (name == "gmpo") c.clip_low = c.clip_high = 0.4f;
  if (name == "sapo") c.tau_gain = 1, c.tau_loss = 1.05f;
  if (name == "kl_cov") c.cov_penalty = 1;
  c.preference_beta = 1, c.preference_margin = 0.5f;
  return c;
}

struct Step {
  std::vector<int> arms;
  RewardBatch rewards;
};

Step pull(const Bandit& bandit, Random& random) {
  Step s;
  s.rewards.term_weights = {1};
  for (int g = 0; g < kGroups; ++g) {
    s.rewards.group_sizes.push_back(kGroup);
    s.rewards.baselines.push_back(bandit.p() > 0.5 ? 1 : 0);
  }
  for (int i = 0; i < kGroups * kGroup; ++i) {
    s.arms.push_back(random.uniform() < bandit.p());
    s.rewards.rewards.push_back(s.arms.back());
    s.rewards.hits.push_back(uint8_t(s.arms.back()));
    s.rewards.lengths.push_back(1);
    s.rewards.valid.push_back(1);
  }
  return s;
}

// d loss / d x over tokens that chose `arms`: d logp / d x = arm - p.
double slope(const PolicyLossConfig& c, const Bandit& bandit, const std::vector<int>& arms,
             PolicyTokens tokens) {
  tokens.logprob.clear();
  for (int arm : arms) tokens.logprob.push_back(float(bandit.logprob(arm)));
  std::vector<float> gradient(arms.size());
  policy_loss(c, tokens, gradient.data());
  double sum = 0;
  for (size_t i = 0; i < arms.size(); ++i) sum += double(gradient[i]) * (arms[i] - bandit.p());
  return sum;
}

void policy_update(const PolicyLossConfig& c, Advantage kind, Bandit& bandit, Random& random) {
  const Step step = pull(bandit, random);
  const auto a = advantages(kind, step.rewards, {1e-4, 4, false});
  PolicyTokens tokens;
  for (size_t i = 0; i < step.arms.size(); ++i) {
    tokens.old_logprob.push_back(float(bandit.logprob(step.arms[i])));
    tokens.advantage.push_back(float(a[i]));
    tokens.weight.push_back(1.0 / double(step.arms.size()));
    tokens.lengths.push_back(1);
  }
  TokenSelection selection;
  selection.loss = c.loss;
  selection.share = 0.02, selection.low = 1, selection.high = 5;
  tokens.treatment = select_tokens(selection, tokens.old_logprob, tokens.advantage, {});
  for (int inner = 0; inner < kInner; ++inner) bandit.adam(slope(c, bandit, step.arms, tokens));
}

RR_TEST("bandit: every estimator with every loss finds the better arm") {
  for (const char* estimator : {"grpo", "dr_grpo", "batch_std", "rloo", "rf++", "rf++_baseline",
                                "remax", "opo", "gpg", "passk_bonus", "gdpo", "latent_r3"})
    for (const char* loss : {"ppo_clip", "two_sided", "gspo", "gspo_token", "luspo", "cispo",
                             "gmpo", "sapo", "reinforce", "clip_cov", "kl_cov"}) {
      Bandit bandit;
      Random random(17);
      for (int step = 0; step < kSteps; ++step)
        policy_update(loss_config(loss), advantage_from_name(estimator), bandit, random);
      expect(bandit.p() > 0.95,
             std::string(estimator) + " with " + loss + ": p = " + std::to_string(bandit.p()));
    }
}

// A pair (for sdpo three losers) of every group with both arms; the reference is the start.
RR_TEST("bandit: every preference loss finds the better arm") {
  for (const char* name : {"dpo", "sdpo", "simpo"}) {
    Bandit bandit;
    Random random(18);
    const Bandit reference;
    // one update a step, and ever fewer groups with both arms
    for (int step = 0; step < 3 * kSteps; ++step) {
      const Step drawn = pull(bandit, random);
      PolicyTokens tokens;
      std::vector<int> arms;
      for (int g = 0; g < kGroups; ++g) {
        const auto from = drawn.arms.begin() + g * kGroup;
        const int64_t hits = std::count(from, from + kGroup, 1);
        if (hits == 0 || hits == kGroup) continue;
        const int64_t losers =
            std::string(name) == "sdpo" ? std::min<int64_t>(3, kGroup - hits) : 1;
        tokens.group_sizes.push_back(1 + losers);
        for (int64_t s = 0; s <= losers; ++s) {
          arms.push_back(s == 0);
          tokens.lengths.push_back(1);
          tokens.old_logprob.push_back(float(bandit.logprob(s == 0)));
          tokens.reference.push_back(float(reference.logprob(s == 0)));
          tokens.advantage.push_back(0);
          tokens.weight.push_back(1.0 / kGroups);
        }
      }
      if (!arms.empty()) bandit.adam(slope(loss_config(name), bandit, arms, tokens));
    }
    expect(bandit.p() > 0.95, std::string(name) + ": p = " + std::to_string(bandit.p()));
  }
}

}  // namespace
}  // namespace reasonrec::test
