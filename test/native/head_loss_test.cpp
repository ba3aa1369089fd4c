// The vocabulary head: log-probs, entropies and gradients against fp64, restricted rows, and the
// identities between one row decoded and many rows trained.
#include "ops/head_loss.h"
#include "harness.h"

namespace reasonrec::test {
namespace {

struct Head {
  HeadShape shape;
  std::vector<float> hidden, weight;
  std::vector<int32_t> targets;
  Head(Random& random, int64_t t, int64_t h, int64_t v, float inv_temperature)
      : shape{t, h, v, inv_temperature},
        hidden(random.normals(t * h)),
        weight(random.normals(v * h, 2 / std::sqrt(double(h)))) {
    for (int64_t i = 0; i < t; ++i) targets.push_back(i % 5 == 4 ? -1 : int32_t(random.integer(v)));
  }
};

// Every third row may have some tokens only, its target among them.
struct Restriction {
  std::vector<int64_t> begin{0};
  std::vector<int32_t> ids;
  Restriction(Random& random, const Head& head) {
    for (int64_t row = 0; row < head.shape.t; ++row) {
      if (row % 3 == 1) {
        std::vector<int32_t> some;
        for (int i = 0; i < 5; ++i) some.push_back(int32_t(random.integer(head.shape.v)));
        if (head.targets[row] >= 0) some.push_back(head.targets[row]);
        std::sort(some.begin(), some.end());
        some.erase(std::unique(some.begin(), some.end()), some.end());
        ids.insert(ids.end(), some.begin(), some.end());
      }
      begin.push_back(int64_t(ids.size()));
    }
  }
  AllowedTokens view() const { return {begin.data(), ids.data()}; }
};

struct Forward {
  std::vector<float> logprob, entropy, lse;
};
Forward forward(const Context& ctx, const Head& head, const Panels& panels, AllowedTokens allowed,
                int64_t row = 0, int64_t rows = -1) {
  HeadShape shape = head.shape;
  if (rows >= 0) shape.t = rows;
  Forward f{nans(shape.t), nans(shape.t), nans(shape.t)};
  head_loss_forward(ctx, f.logprob.data(), f.entropy.data(), f.lse.data(),
                    head.hidden.data() + row * shape.h, panels, head.targets.data() + row, allowed,
                    shape);
  return f;
}

}  // namespace

RR_TEST("head_loss: log-prob, entropy and lse against fp64, whole and restricted vocabulary") {
  Random random(41);
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t v : {1, 7, 511, 512, 513, 1031})
      for (const int64_t t : {1, 5, 97})
        for (const float inv_temperature : {1.0f, 1.0f / 0.7f}) {
          TestContext ctx(*kernels, 3);
          const Head head(random, t, 33, v, inv_temperature);
          const PackedMatrix panels(ctx, head.weight.data(), 33, v, 1, 33);
          const Restriction some(random, head);
          for (const AllowedTokens allowed : {AllowedTokens{}, some.view()}) {
            const Forward got = forward(ctx, head, panels.panels, allowed);
            std::vector<double> logprob(size_t(t), 0.0), entropy(logprob), lse(logprob);
            reference::head_loss(logprob.data(), entropy.data(), lse.data(),
                                 to_double(head.hidden).data(), to_double(head.weight).data(),
                                 head.targets.data(), allowed, head.shape);
            // z has size ~ 10 and 33 products: a few 1e-6 absolute, which is what lse and log-prob
            // inherit.
            expect_close(got.lse.data(), lse.data(), t, 6e-6, 1e-6, "lse");
            expect_close(got.logprob.data(), logprob.data(), t, 1e-5, 1e-6, "logprob");
            expect_close(got.entropy.data(), entropy.data(), t, 1e-5, 1e-5, "entropy");
          }
        }
}

RR_TEST("head_loss: a row's bits do not depend on the batch, the threads or the row blocks") {
  Random random(42);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext one(*kernels, 1), three(*kernels, 3);
    const int64_t t = 200, h = 40, v = 1300;
    const Head head(random, t, h, v, 1.25f);
    const PackedMatrix panels(one, head.weight.data(), h, v, 1, h);
    const Restriction some(random, head);
    const Forward a = forward(one, head, panels.panels, some.view()),
                  b = forward(three, head, panels.panels, some.view());
    expect_same_bits(b.logprob.data(), a.logprob.data(), t, "threads, log-prob");
    expect_same_bits(b.entropy.data(), a.entropy.data(), t, "threads, entropy");
    std::vector<float> logits = nans(v);
    for (int64_t row = 0; row < t; ++row) {
      const std::vector<int64_t> begin{0, some.begin[row + 1] - some.begin[row]};
      const AllowedTokens mine{begin.data(), some.ids.data() + some.begin[row]};
      const Forward alone = forward(three, head, panels.panels, mine, row, 1);
      expect_same_bits(alone.logprob.data(), a.logprob.data() + row, 1, "row alone, log-prob");
      expect_same_bits(alone.entropy.data(), a.entropy.data() + row, 1, "row alone, entropy");
      // A sampler has logits and lse: logit * inv_temperature - lse are the log-prob's bits.
      float lse;
      three.context.kernels->head_forward(three, nullptr, nullptr, &lse, logits.data(),
                                          head.hidden.data() + row * h, panels.panels, nullptr,
                                          mine, 1.25f, 1, h, v);
      const int32_t y = head.targets[row];
      const float sampled = y < 0 ? 0.0f : logits[size_t(y)] * 1.25f - lse;
      expect_same_bits(&sampled, a.logprob.data() + row, 1, "logit / temperature - lse");
    }
  }
}

RR_TEST("head_loss: a target that is not allowed has log-prob -inf; NaN logits reach lse") {
  Random random(43);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    Head head(random, 2, 8, 1200, 1);
    head.targets = {3, 1100};
    const PackedMatrix panels(ctx, head.weight.data(), 8, 1200, 1, 8);
    const std::vector<int64_t> begin{0, 2, 4};
    const std::vector<int32_t> ids{4, 9, 4, 9};
    const Forward f = forward(ctx, head, panels.panels, {begin.data(), ids.data()});
    for (const float p : f.logprob) expect(p == -INFINITY, "-inf");
    head.hidden[3] = NAN;
    const Forward bad = forward(ctx, head, panels.panels, {});
    expect(!std::isfinite(bad.lse[0]) && std::isfinite(bad.lse[1]), "only the row with the NaN");
    PackedMatrix broken(ctx, head.weight.data(), 8, 1200, 1, 8);
    broken.memory[5] = NAN;  // one token's weight
    expect(!std::isfinite(forward(ctx, head, broken.panels, {}, 1, 1).lse[0]),
           "a NaN in one token's row");
  }
}

RR_TEST("head_loss: gradients against central differences, restricted rows included") {
  Random random(44);
  for (const Kernels* kernels : cpu_kernels())
    for (const bool restricted : {false, true}) {
      TestContext ctx(*kernels);
      const int64_t t = 5, h = 6, v = 23;
      const Head head(random, t, h, v, 1.3f);
      const PackedMatrix panels(ctx, head.weight.data(), h, v, 1, h),
          back(ctx, head.weight.data(), v, h, h, 1);
      const Restriction some(random, head);
      const AllowedTokens allowed = restricted ? some.view() : AllowedTokens{};
      const Forward f = forward(ctx, head, panels.panels, allowed);
      const auto dlogp = random.normals(t), dent = random.normals(t);
      auto dhidden = nans(t * h);
      std::vector<float> dhead(size_t(v * h), 0.5f);
      head_loss_backward(ctx, dhidden.data(), dhead.data(), dlogp.data(), dent.data(),
                         head.hidden.data(), f.lse.data(), f.entropy.data(), panels.panels,
                         back.panels, head.targets.data(), allowed, head.shape);
      for (float& d : dhead) d -= 0.5f;
      auto hidden = to_double(head.hidden), weight = to_double(head.weight);
      const auto loss = [&] {
        std::vector<double> logprob(size_t(t), 0.0), entropy(logprob);
        reference::head_loss(logprob.data(), entropy.data(), nullptr, hidden.data(), weight.data(),
                             head.targets.data(), allowed, head.shape);
        double sum = 0;
        for (int64_t i = 0; i < t; ++i)
          sum += (head.targets[i] >= 0 ? logprob[i] * double(dlogp[i]) : 0) +
                 entropy[i] * double(dent[i]);
        return sum;
      };
      std::vector<double> want(hidden.size());
      for (size_t i = 0; i < hidden.size(); ++i) want[i] = central_difference(loss, hidden, i);
      expect_close(dhidden.data(), want.data(), t * h, 1e-5, 1e-5, "dhidden");
      want.resize(weight.size());
      for (size_t i = 0; i < weight.size(); ++i) want[i] = central_difference(loss, weight, i);
      expect_close(dhead.data(), want.data(), v * h, 1e-5, 1e-5, "dhead");
    }
}

RR_TEST("head_loss: gradients over several tiles; rows alone and together, accumulated in order") {
  Random random(45);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext one(*kernels, 1), three(*kernels, 3);
    const int64_t t = 205, h = 24, v = 1111;
    const Head head(random, t, h, v, 1);
    const PackedMatrix panels(one, head.weight.data(), h, v, 1, h),
        back(one, head.weight.data(), v, h, h, 1);
    const Restriction some(random, head);
    const Forward f = forward(one, head, panels.panels, some.view());
    const auto dlogp = random.normals(t), dent = random.normals(t);
    const auto run = [&](const Context& ctx, int64_t rows_at_once, std::vector<float>& dhidden,
                         std::vector<float>& dhead) {
      for (int64_t row = 0; row < t; row += rows_at_once) {
        HeadShape shape = head.shape;
        shape.t = std::min(rows_at_once, t - row);
        head_loss_backward(ctx, dhidden.data() + row * h, dhead.data(), dlogp.data() + row,
                           dent.data() + row, head.hidden.data() + row * h, f.lse.data() + row,
                           f.entropy.data() + row, panels.panels, back.panels,
                           head.targets.data() + row, {some.begin.data() + row, some.ids.data()},
                           shape);
      }
    };
    auto dhidden = nans(t * h), dhidden_2 = nans(t * h);
    std::vector<float> dhead(size_t(v * h), 0.1f), dhead_2 = dhead;
    run(three, t, dhidden, dhead);
    run(one, 7, dhidden_2, dhead_2);
    expect_same_bits(dhidden_2.data(), dhidden.data(), t * h, "dhidden");
    expect_same_bits(dhead_2.data(), dhead.data(), v * h, "dhead");
    // And the values: d / d hidden of row 0 and 1 (restricted) along a random direction.
    for (const int64_t row : {0, 1}) {
      const auto direction = random.normals(h);
      const auto loss = [&](double step) {
        auto x = to_double(head.hidden);
        for (int64_t j = 0; j < h; ++j) x[row * h + j] += step * double(direction[j]);
        std::vector<double> logprob(size_t(t), 0.0), entropy(logprob);
        reference::head_loss(logprob.data(), entropy.data(), nullptr, x.data(),
                             to_double(head.weight).data(), head.targets.data(), some.view(),
                             head.shape);
        return logprob[row] * double(dlogp[row]) + entropy[row] * double(dent[row]);
      };
      const double want = (loss(1e-5) - loss(-1e-5)) / 2e-5;
      double got = 0;
      for (int64_t j = 0; j < h; ++j) got += double(dhidden[row * h + j]) * double(direction[j]);
      expect(std::fabs(got - want) <= 2e-5 * (1 + std::fabs(want)),
             "row " + std::to_string(row) + " along a direction");
    }
  }
}

}  // namespace reasonrec::test
