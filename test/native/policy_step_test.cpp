// Every policy loss through the decoder: the same bits however a step is cut, one advantage per
// token as one per completion, and preferences against finite differences.
#include "core/check.h"
#include "tiny_policy.h"

namespace reasonrec::test {
namespace {

PolicyLossConfig config_of(const std::string& name) {
  PolicyLossConfig c;
  c.loss = policy_loss_from_name(name);
  if (name == "two_sided") c.ratio_cap = 4;
  if (name == "sapo") c.tau_gain = 1, c.tau_loss = 1.05f;
  if (name == "kl_cov") c.cov_penalty = 1;
  if (is_preference(c.loss)) c.preference_beta = 0.3f, c.preference_margin = 0.2f;
  if (!is_preference(c.loss)) c.beta = 0.2f, c.kl = KlKind::kUnbiased;
  return c;
}

// Prompts with `count` completions each; old log-probs near the policy's own.
std::vector<PolicyGroup> tiny_groups(TinyPolicy& p, int count) {
  Random random(31);
  std::vector<PolicyGroup> groups;
  for (const int64_t length : {7, 16, 17, 5, 12}) {
    PolicyGroup g{random_ids(random, p.config, length), {}, nullptr};
    for (int i = 0; i < count; ++i) {
      PolicyCompletion c;
      c.ids = random_ids(random, p.config, 2 + random.integer(14));
      for (size_t t = 0; t < c.ids.size(); ++t) {
        c.mask.push_back(t % 5 != 3);
        c.old_logprobs.push_back(float(-6.3 + 0.3 * random.normal()));
        c.token_advantages.push_back(float(random.normal()));
        c.treatment.push_back(uint8_t(random.integer(3)));
      }
      g.completions.push_back(c);
    }
    groups.push_back(g);
  }
  return groups;
}

RR_TEST("policy step: every loss has the same bits however the step is cut") {
  for (const char* name : {"two_sided", "gspo", "gspo_token", "luspo", "cispo", "gmpo", "sapo",
                           "clip_cov", "kl_cov", "dpo", "sdpo", "simpo"}) {
    TinyPolicy p(select_cpu_kernels());
    const PolicyLossConfig loss = config_of(name);
    const bool pairs = is_preference(loss.loss);
    const auto groups = tiny_groups(p, pairs && std::string(name) != "sdpo" ? 2 : 4);
    const std::vector<double> weights = token_mean_weights(groups);
    for (const bool share : {true, false}) {
      const auto step = [&](int64_t budget, bool apart) {
        Trainer trainer(p.context, *p.model, nullptr, p.adapter.get(), {budget, false, share});
        size_t at = 0;
        if (!apart) trainer.accumulate_policy(p.context, groups, loss, weights, 0.9f, {}, true, {});
        for (const PolicyGroup& g : groups) {
          const auto from = weights.begin() + int64_t(at);
          const std::vector<double> part(from, from + int64_t(g.completions.size()));
          if (apart) trainer.accumulate_policy(p.context, {g}, loss, part, 0.9f, {}, true, {});
          at += g.completions.size();
        }
        return std::vector<float>(trainer.gradients(),
                                  trainer.gradients() + trainer.layout().total);
      };
      const auto whole = step(4096, false), packed = step(40, false), apart = step(4096, true);
      expect(*std::max_element(whole.begin(), whole.end()) > 0, "there is a gradient");
      expect_same_bits(packed.data(), whole.data(), int64_t(whole.size()),
                       std::string(name) + ": micro-batches of 40 rows");
      expect_same_bits(apart.data(), whole.data(), int64_t(whole.size()),
                       std::string(name) + ": a call per group");
    }
  }
}

RR_TEST("policy step: one advantage per token, all equal, is one advantage") {
  TinyPolicy p(select_cpu_kernels());
  auto groups = tiny_groups(p, 3), single = groups;
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t i = 0; i < 3; ++i) {
      PolicyCompletion &many = groups[g].completions[i], &one = single[g].completions[i];
      many.treatment.clear(), one.treatment.clear(), one.token_advantages.clear();
      one.advantage = 0.3f * float(i) - 0.4f;
      many.token_advantages.assign(many.ids.size(), one.advantage);
    }
  const std::vector<double> weights = token_mean_weights(groups);
  Trainer a(p.context, *p.model, nullptr, p.adapter.get(), {}),
      b(p.context, *p.model, nullptr, p.adapter.get(), {});
  a.accumulate_policy(p.context, groups, {}, weights, 1, {}, true, {});
  b.accumulate_policy(p.context, single, {}, weights, 1, {}, true, {});
  expect_same_bits(a.gradients(), b.gradients(), a.layout().total, "gradients");
}

RR_TEST("policy step: preferences against finite differences through the decoder") {
  for (const char* name : {"dpo", "sdpo", "simpo"}) {
    TinyPolicy p(select_cpu_kernels());
    const PolicyLossConfig loss = config_of(name);
    auto groups = tiny_groups(p, std::string(name) == "sdpo" ? 4 : 2);
    const std::vector<double> weights(token_mean_weights(groups).size(), 0.2);
    Trainer trainer(p.context, *p.model, nullptr, p.adapter.get(), {});
    const auto value = [&](bool gradients) {
      return trainer.accumulate_policy(p.context, groups, loss, weights, 1, {}, gradients, {}).sums;
    };
    const PolicyLossSums sums = value(true);
    expect(sums.preferences == 5 && sums.correct > 0 && sums.correct <= 5, "counted");
    const int64_t n = trainer.layout().total;
    std::vector<float> direction(trainer.gradients(), trainer.gradients() + n);
    double norm = 0;
    for (float g : direction) norm += double(g) * double(g);
    norm = std::sqrt(norm);
    const std::vector<float> keep(trainer.values(), trainer.values() + n);
    const auto at = [&](double h) {
      for (int64_t i = 0; i < n; ++i)
        trainer.values()[i] = float(double(keep[size_t(i)]) + h * direction[size_t(i)] / norm);
      p.adapter->refresh(p.context);
      return value(false).loss;
    };
    const double got = (at(1e-3) - at(-1e-3)) / 2e-3;
    // fp32 forwards: sums of some ten log-probs are good to a few 1e-6, a slope over 2 h to 1e-3
    expect(std::fabs(got - norm) <= 2e-3 + 1e-3 * norm,
           std::string(name) + ": slope " + std::to_string(got) + ", norm " + std::to_string(norm));
  }
}

RR_TEST("policy step: a reference is asked for where there is none") {
  TestContext context(select_cpu_kernels());
  const ModelConfig config = policy_config();
  const auto model = tiny_model(context, config, 4);
  Trainer trainer(context, *model, nullptr, nullptr, {});
  TinyPolicy p(select_cpu_kernels());
  const auto groups = tiny_groups(p, 2);
  const std::vector<double> weights = token_mean_weights(groups);
  bool refused = false;
  try {
    trainer.accumulate_policy(context, groups, config_of("dpo"), weights, 1, {}, true, {});
  } catch (const Error& e) {
    refused = e.code == "RR_NO_REFERENCE";
  }
  expect(refused, "dpo of every weight has no reference");
  trainer.accumulate_policy(context, groups, config_of("simpo"), weights, 1, {}, true, {});
}

}  // namespace
}  // namespace reasonrec::test
