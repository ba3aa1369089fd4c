// Training of a tiny policy: accumulation in any cut gives the same bits, gradients against finite
// differences through the decoder, the optimiser against fp64, and policy gradients that find the
// better arm of a bandit.
#include "core/check.h"
#include "rl/advantage.h"
#include "tiny_policy.h"

namespace reasonrec::test {
namespace {

struct Targets {  // adapter or every weight, tied or untied head
  bool full, tied;
  Compute compute = Compute::kF32;
  std::string name() const {
    return std::string(full ? "full" : "adapter") + (tied ? ", tied" : ", untied") +
           (compute == Compute::kBF16 ? ", products in bf16" : "");
  }
};
const std::vector<Targets> kTargets = {{false, true}, {true, true}, {true, false}};
const std::vector<Targets> kCutTargets = {{false, true},
                                          {true, true},
                                          {true, false},
                                          {false, true, Compute::kBF16},
                                          {true, false, Compute::kBF16}};

struct Trained {
  TestContext context;
  ModelConfig config;
  std::unique_ptr<Model> model;
  std::unique_ptr<Adapter> adapter, reference;
  explicit Trained(const Kernels& kernels, const Targets& t, int threads = 2)
      : context(kernels, threads), config(policy_config(t.compute)) {
    config.tied_head = t.tied;
    model = tiny_model(context, config, 21);
    adapter = tiny_adapter(context, config, 3, 22);
    reference = tiny_adapter(context, config, 2, 23);
    if (t.full) adapter.reset();
  }
  Trainer trainer(const TrainOptions& options) {
    return Trainer(context, *model, nullptr, adapter.get(), options);
  }
};

std::vector<SftSequence> sft_sequences(const ModelConfig& config, uint64_t seed) {
  Random random(seed);
  std::vector<SftSequence> out;
  for (const int64_t length : {9, 33, 2, 17, 1, 40, 16, 25}) {
    SftSequence s{random_ids(random, config, length), std::vector<float>(size_t(length), 0.0f)};
    for (int64_t t = length / 3 + 1; t < length - 1; ++t)
      s.weights[size_t(t)] = t % 5 ? 1.0f : 0.5f;
    if (length > 1) s.weights[size_t(length - 1)] = length == 25 ? 0.0f : 2.0f;
    out.push_back(s);
  }
  return out;
}

std::vector<PolicyGroup> policy_groups(const ModelConfig& config, uint64_t seed) {
  Random random(seed);
  const auto trie = std::make_shared<const Trie>(tiny_titles());
  std::vector<PolicyGroup> groups;
  for (const int64_t length : {7, 16, 17, 31, 1, 12, 20, 5}) {
    PolicyGroup g{random_ids(random, config, length), {}, trie};
    for (int i = 0; i < 3; ++i) {
      PolicyCompletion c;
      c.ids = random_ids(random, config, i == 2 && length == 12 ? 0 : 1 + random.integer(20));
      const auto titles = tiny_titles();
      if (i == 1) {
        c.trie_begin = int32_t(c.ids.size());
        const auto& title = titles[size_t(length) % titles.size()];
        c.ids.insert(c.ids.end(), title.begin(), title.end());
      }
      for (size_t t = 0; t < c.ids.size(); ++t) {
        c.mask.push_back(random.uniform() < 0.8);
        c.old_logprobs.push_back(float(-6.2 + 0.3 * random.normal()));
      }
      c.advantage = float(random.normal());
      g.completions.push_back(c);
    }
    groups.push_back(g);
  }
  return groups;
}

void expect_same_gradients(const Trainer& got, const Trainer& want, const std::string& what) {
  const float largest = *std::max_element(want.gradients(), want.gradients() + want.layout().total);
  expect(largest > 0, what + ": there is a gradient");
  expect_same_bits(got.gradients(), want.gradients(), want.layout().total, what);
}

RR_TEST("train: supervised gradients have the same bits however the step is cut") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Targets& t : kCutTargets) {
      Trained p(*kernels, t), single(*kernels, t, 1);
      const std::vector<SftSequence> sequences = sft_sequences(p.config, 1);
      const float dropout = t.full ? 0.0f : 0.1f;
      Trainer whole = p.trainer({4096}), packed = p.trainer({40, true});
      Trainer calls = p.trainer({4096}), one = single.trainer({30});
      const SftResult r = whole.accumulate_sft(p.context, sequences, 77.5, dropout, 5, {});
      const SftResult again = packed.accumulate_sft(p.context, sequences, 77.5, dropout, 5, {});
      one.accumulate_sft(single.context, sequences, 77.5, dropout, 5, {});
      double loss = 0;
      int64_t tokens = 0;
      for (const SftSequence& s : sequences) {
        const SftResult part = calls.accumulate_sft(p.context, {s}, 77.5, dropout, 5, {});
        loss += part.loss;
        tokens += part.tokens;
      }
      expect(r.loss == again.loss && std::fabs(r.loss - loss) <= 1e-12 && tokens == r.tokens,
             "losses");
      expect_same_gradients(packed, whole, t.name() + ": small budget, recomputed");
      expect_same_gradients(calls, whole, t.name() + ": 8 x 1 against 1 x 8");
      expect_same_gradients(one, whole, t.name() + ": one thread");
    }
}

RR_TEST("train: policy gradients have the same bits however the step is cut") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Targets& t : kCutTargets)
      for (const bool share : {true, false}) {
        Trained p(*kernels, t), single(*kernels, t, 1);
        std::vector<PolicyGroup> groups = policy_groups(p.config, 2);
        const std::vector<double> weights = token_mean_weights(groups);
        PolicyLossConfig loss;
        loss.beta = t.full ? 0 : 0.2f;
        loss.entropy_bonus = 0.01f;
        const AdapterStack reference{nullptr, p.reference.get()},
            single_reference{nullptr, single.reference.get()};
        Trainer whole = p.trainer({4096, false, share}), packed = p.trainer({60, true, share});
        Trainer calls = p.trainer({4096, false, share}), one = single.trainer({50, false, share});
        const PolicyResult r =
            whole.accumulate_policy(p.context, groups, loss, weights, 0.8f, reference, true, {});
        const PolicyResult again =
            packed.accumulate_policy(p.context, groups, loss, weights, 0.8f, reference, true, {});
        one.accumulate_policy(single.context, groups, loss, weights, 0.8f, single_reference, true,
                              {});
        size_t at = 0;
        PolicyLossSums sums;
        for (const PolicyGroup& g : groups) {
          const auto from = weights.begin() + int64_t(at);
          const std::vector<double> part(from, from + int64_t(g.completions.size()));
          add(sums,
              calls.accumulate_policy(p.context, {g}, loss, part, 0.8f, reference, true, {}).sums);
          at += g.completions.size();
        }
        expect_same_bits(again.logprobs.data(), r.logprobs.data(), int64_t(r.logprobs.size()),
                         "log-probs");
        expect_same_bits(again.reference_logprobs.data(), r.reference_logprobs.data(),
                         int64_t(r.reference_logprobs.size()), "reference");
        expect(std::fabs(sums.loss - r.sums.loss) <= 1e-12 && sums.tokens == r.sums.tokens, "sums");
        expect_same_gradients(packed, whole, t.name() + ": small budget, recomputed");
        expect_same_gradients(calls, whole, t.name() + ": 8 x 1 against 1 x 8");
        expect_same_gradients(one, whole, t.name() + ": one thread");
      }
}

// Slope of `loss` at x along `direction` (of length 1), by central differences in fp32 forwards.
template <class Loss>
double slope(float* x, const std::vector<float>& direction, double h, Loss loss) {
  const std::vector<float> keep(x, x + direction.size());
  const auto at = [&](double step) {
    for (size_t i = 0; i < keep.size(); ++i)
      x[i] = float(double(keep[i]) + step * double(direction[i]));
    return loss();
  };
  const double up = at(h), down = at(-h);
  std::copy(keep.begin(), keep.end(), x);
  return (up - down) / (2 * h);
}

// The gradient's own direction, and one random direction per tensor.
template <class Loss>
void check_slopes(const std::string& what, const ParameterLayout& layout, float* values,
                  const std::vector<float>& gradient, Loss loss) {
  Random random(91);
  double norm = 0;
  for (float g : gradient) norm += double(g) * double(g);
  norm = std::sqrt(norm);
  std::vector<float> direction(gradient.size());
  for (size_t i = 0; i < gradient.size(); ++i) direction[i] = float(double(gradient[i]) / norm);
  // Larger steps cross the clip's kinks. fp32 forwards give the mean loss to a few 1e-7, a slope
  // over 2 h to 3e-4.
  constexpr double h = 1e-3;
  const double along = slope(values, direction, h, loss);
  expect(std::fabs(along - norm) <= 5e-4 + 5e-4 * norm, what + ": slope along the gradient is " +
                                                            std::to_string(along) + ", its norm " +
                                                            std::to_string(norm));
  for (const Parameter& p : layout.entries) {
    std::fill(direction.begin(), direction.end(), 0.0f);
    double length = 0, want = 0;
    for (int64_t i = p.offset; i < p.offset + p.size(); ++i) {
      const double share = double(gradient[size_t(i)]) / norm * std::sqrt(double(p.size()));
      direction[size_t(i)] = float(random.normal() + 2 * share);
      length += double(direction[size_t(i)]) * double(direction[size_t(i)]);
    }
    for (int64_t i = p.offset; i < p.offset + p.size(); ++i) {
      direction[size_t(i)] = float(double(direction[size_t(i)]) / std::sqrt(length));
      want += double(direction[size_t(i)]) * double(gradient[size_t(i)]);
    }
    const double got = slope(values, direction, h, loss);
    expect(std::fabs(got - want) <= 5e-4 + 5e-4 * norm,
           what + ", " + p.name + ": slope " + std::to_string(got) + ", gradient says " +
               std::to_string(want));
  }
}

RR_TEST("train: policy gradient against finite differences through the decoder") {
  for (const Targets& t : kTargets)
    for (const PolicyLoss kind : {PolicyLoss::kPpoClip, PolicyLoss::kReinforce}) {
      Trained p(select_cpu_kernels(), t);
      std::vector<PolicyGroup> groups = policy_groups(p.config, 4);
      for (PolicyGroup& g : groups)
        for (PolicyCompletion& c : g.completions) {
          c.sft_weight = c.advantage > 0.5f ? 0.02f : 0;
          for (size_t i = 0; i < c.ids.size(); ++i) c.sft_mask.push_back(i % 3 == 0);
        }
      const std::vector<double> weights = token_mean_weights(groups);
      PolicyLossConfig loss;
      loss.loss = kind;
      loss.beta = t.full ? 0 : 0.3f;
      loss.entropy_bonus = 0.05f;
      Trainer trainer = p.trainer({100});
      const AdapterStack reference{nullptr, p.reference.get()};
      // Old log-probs near the current ones but off the clip's kinks.
      PolicyResult now =
          trainer.accumulate_policy(p.context, groups, loss, weights, 0.9f, reference, false, {});
      Random random(6);
      size_t flat = 0;
      for (PolicyGroup& g : groups)
        for (PolicyCompletion& c : g.completions)
          for (float& old : c.old_logprobs) {
            const double u = random.uniform();
            old = now.logprobs[flat++] + (u < 0.3 ? 0.4f : u < 0.6 ? -0.4f : 0.05f);
          }
      trainer.accumulate_policy(p.context, groups, loss, weights, 0.9f, reference, true, {});
      const std::vector<float> gradient(trainer.gradients(),
                                        trainer.gradients() + trainer.layout().total);
      check_slopes(t.name(), trainer.layout(), trainer.values(), gradient, [&] {
        if (p.adapter)
          p.adapter->refresh(p.context);
        else
          p.model->refresh(p.context);
        const PolicyResult r =
            trainer.accumulate_policy(p.context, groups, loss, weights, 0.9f, reference, false, {});
        return r.sums.loss + r.sft_loss;
      });
    }
}

RR_TEST("train: AdamW with clipping and decay by tensor, against fp64") {
  Trained p(select_cpu_kernels(), {true, true});
  Trainer trainer = p.trainer({});
  const ParameterLayout& layout = trainer.layout();
  std::vector<double> w(trainer.values(), trainer.values() + layout.total), m(w.size()),
      v(w.size());
  const OptimiserStep s{1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.5f};
  for (int step = 1; step <= 3; ++step) {
    trainer.accumulate_sft(p.context, sft_sequences(p.config, uint64_t(step)), 10, 0, 0, {});
    const std::vector<double> g(trainer.gradients(), trainer.gradients() + layout.total);
    double norm = 0;
    for (double x : g) norm += x * x;
    norm = std::sqrt(norm);
    expect(norm > 0.5, "clipping binds");
    expect(std::fabs(trainer.apply(p.context, s) - norm) <= 1e-6 * norm, "norm before clipping");
    const double clip = std::min(1.0, double(s.clip_norm) / (norm + 1e-6)), b1 = s.beta1,
                 b2 = s.beta2;
    for (const Parameter& e : layout.entries)
      for (int64_t i = e.offset; i < e.offset + e.size(); ++i) {
        const size_t k = size_t(i);
        m[k] = b1 * m[k] + (1 - b1) * clip * g[k];
        v[k] = b2 * v[k] + (1 - b2) * clip * clip * g[k] * g[k];
        const double mhat = m[k] / (1 - std::pow(b1, step)), vhat = v[k] / (1 - std::pow(b2, step));
        const double decay = e.decay ? double(s.weight_decay) : 0;
        w[k] -=
            double(s.learning_rate) * (decay * w[k] + mhat / (std::sqrt(vhat) + double(s.epsilon)));
      }
    // steps of 1e-2 in fp32 on weights of size 1; tiny gradients have a rounded m / sqrt(v)
    expect_close(trainer.values(), w.data(), layout.total, 2e-6, 2e-6,
                 "weights after step " + std::to_string(step));
    for (int64_t i = 0; i < layout.total; ++i)
      expect(trainer.gradients()[i] == 0, "gradients are zero after a step");
  }
  expect(trainer.optimiser().steps() == 3, "steps are counted");
}

RR_TEST(
    "train: a gradient that is not finite changes nothing; a cancelled pass leaves no gradient") {
  Trained p(select_cpu_kernels(), {false, true});
  Trainer trainer = p.trainer({});
  const std::vector<SftSequence> sequences = sft_sequences(p.config, 3);
  trainer.accumulate_sft(p.context, sequences, 10, 0, 0, {});
  const std::vector<float> before(trainer.values(), trainer.values() + trainer.layout().total);
  const_cast<float*>(trainer.gradients())[17] = std::numeric_limits<float>::quiet_NaN();
  expect(!std::isfinite(trainer.apply(p.context, {})), "the norm says so");
  expect_same_bits(trainer.values(), before.data(), int64_t(before.size()), "weights");
  expect(trainer.optimiser().steps() == 0, "the step does not count");
  for (int64_t i = 0; i < trainer.layout().total; ++i)
    expect(trainer.gradients()[i] == 0 && trainer.optimiser().first[i] == 0,
           "gradients dropped, moments untouched");

  std::atomic<int32_t> words[4] = {1};
  bool cancelled = false;
  try {
    trainer.accumulate_sft(p.context, sequences, 10, 0, 0, Job{words});
  } catch (const Cancelled&) {
    cancelled = true;
  }
  expect(cancelled, "cancelled");
  for (int64_t i = 0; i < trainer.layout().total; ++i)
    expect(trainer.gradients()[i] == 0, "no gradient is left");
}

RR_TEST("train: supervised steps lower the loss; equal rewards move nothing") {
  for (const Targets& t : kTargets) {
    Trained p(select_cpu_kernels(), t);
    Trainer trainer = p.trainer({});
    const std::vector<SftSequence> sequences = sft_sequences(p.config, 3);
    double first = 0, last = 0;
    for (int step = 0; step < 60; ++step) {
      last = trainer.accumulate_sft(p.context, sequences, 100, 0, 0, {}).loss;
      if (step == 0) first = last;
      trainer.apply(p.context, {1e-2f, 0.9f, 0.99f, 1e-8f, 0, 1});
    }
    expect(last < first / 2,
           t.name() + ": loss " + std::to_string(first) + " to " + std::to_string(last));

    std::vector<PolicyGroup> groups = policy_groups(p.config, 4);
    for (PolicyGroup& g : groups)
      for (PolicyCompletion& c : g.completions) c.advantage = 0, c.old_logprobs.clear();
    trainer.accumulate_policy(p.context, groups, {}, token_mean_weights(groups), 1, {}, true, {});
    for (int64_t i = 0; i < trainer.layout().total; ++i)
      expect(trainer.gradients()[i] == 0, "advantage 0, no gradient");
  }
}

RR_TEST("train: a two-armed bandit finds the better arm under every estimator and loss") {
  for (const Advantage estimator : {Advantage::kGrpo, Advantage::kDrGrpo, Advantage::kRloo})
    for (const PolicyLoss kind : {PolicyLoss::kPpoClip, PolicyLoss::kReinforce}) {
      Trained p(select_cpu_kernels(), {false, true});
      p.adapter->initialise(3);
      p.adapter->refresh(p.context);
      Trainer trainer = p.trainer({});
      Random random(8);
      std::vector<GroupRequest> requests;
      const auto arms =
          std::make_shared<const Trie>(std::vector<std::vector<int32_t>>{{17, 3}, {450, 3}});
      for (int g = 0; g < 2; ++g)
        requests.push_back(tiny_group(random, p.config, 6 + g, 8, 0, arms));
      PolicyLossConfig loss;
      loss.loss = kind;
      double hits = 0;
      for (int step = 0; step < 80; ++step) {
        uint64_t stream = uint64_t(step) * 100;
        for (GroupRequest& r : requests)
          for (SampleRequest& s : r.samples) s.stream = stream++;
        const AdapterStack policy{nullptr, p.adapter.get()};
        const auto samples =
            generate(p.context, *p.model, policy, requests, {choose_step()}, {}, nullptr, {});
        std::vector<PolicyGroup> groups;
        hits = 0;
        for (size_t g = 0; g < requests.size(); ++g) {
          std::vector<double> rewards;
          for (const SampleResult& s : samples[g])
            rewards.push_back(s.choice == 1 ? 1 : 0), hits += rewards.back();
          const auto a = advantages(estimator, rewards, {8}, std::vector<uint8_t>(8, 1), 1e-6);
          groups.push_back(policy_group(requests[g], samples[g]));
          for (size_t i = 0; i < 8; ++i) groups.back().completions[i].advantage = float(a[i]);
        }
        trainer.accumulate_policy(p.context, groups, loss, token_mean_weights(groups), 1, {}, true,
                                  {});
        trainer.apply(p.context, {5e-3f, 0.9f, 0.99f, 1e-8f, 0, 1});
      }
      // the arm's probability itself, from forced completions
      for (const GroupRequest& r : requests) {
        PolicyGroup g{r.prompt, {}, arms};
        g.completions.push_back({{450, 3}, {1, 1}, {}, 0, 0, {}, 0});
        const PolicyResult result =
            trainer.accumulate_policy(p.context, {g}, {}, {1}, 1, {}, false, {});
        const double probability = std::exp(double(result.logprobs[0]));
        expect(probability > 0.95, "p = " + std::to_string(probability));
      }
    }
}

}  // namespace
}  // namespace reasonrec::test
