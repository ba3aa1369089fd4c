// SASRec: the whole network against fp64 and its gradient against central differences, the same
// bits however a step is cut and on any thread count, and a pattern that it must learn.
#include <algorithm>

#include "core/check.h"
#include "harness.h"
#include "ops/sampled_head.h"
#include "reference_sasrec.h"
#include "sasrec/sasrec_trainer.h"
#include "temporary_folder.h"
#include "train/checkpoint.h"

namespace reasonrec::test {
namespace {

SasrecShape small_shape() { return {23, 9, 12, 2, 3, 1e-8f}; }

// Weights away from the start, so that norms and biases are tested too.
std::unique_ptr<SasrecModel> small_model(const Context& context, const SasrecShape& shape) {
  auto model = std::make_unique<SasrecModel>(shape, 5);
  Random random(6);
  for (int64_t i = 0; i < model->layout().total; ++i)
    model->values()[i] += float(0.2 * random.normal());
  model->refresh(context);
  return model;
}

// Lengths from none to more than the model reads.
Sequences sequences(const SasrecShape& shape, uint64_t seed) {
  Random random(seed);
  Sequences out;
  out.offsets.push_back(0);
  for (const int64_t length : {4, 10, 1, 13, 0, 2, 7}) {
    for (int64_t i = 0; i < length; ++i) out.items.push_back(int32_t(random.integer(shape.items)));
    out.offsets.push_back(int32_t(out.items.size()));
  }
  return out;
}

struct Inputs {
  SasrecRows rows;
  std::vector<int32_t> targets;
};
Inputs inputs_of(const SasrecModel& model, const Sequences& s) {
  Inputs out;
  for (size_t i = 0; i + 1 < s.offsets.size(); ++i) {
    const int32_t* items = s.items.data() + s.offsets[i];
    const int64_t count = s.offsets[i + 1] - s.offsets[i];
    if (count < 2) continue;
    out.rows.append(model, items, count - 1);
    const int64_t kept = std::min(model.shape().positions, count - 1);
    out.targets.insert(out.targets.end(), items + count - kept, items + count);
  }
  return out;
}

SasrecStep step_with(double dropout, int64_t negatives) {
  SasrecStep step;
  step.normaliser = 11;
  step.dropout = float(dropout);
  step.seed = 77;
  step.negatives = negatives;
  step.positive_weight = negatives > 0 ? 0.4 : 1;
  step.spare_sequence = negatives > 0;
  return step;
}

}  // namespace

RR_TEST("sasrec: hidden rows against fp64; a sequence's bits do not depend on the batch") {
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 3);
    const SasrecShape shape = small_shape();
    const auto model = small_model(ctx, shape);
    const Inputs all = inputs_of(*model, sequences(shape, 1));
    const std::vector<double> values(model->values(), model->values() + model->layout().total);
    auto hidden = nans(all.rows.rows() * shape.width), alone = hidden;
    SasrecActivations saved;
    sasrec_forward(ctx, *model, all.rows, hidden.data(), saved);
    const auto want = ReferenceSasrec(*model, all.rows, {}).hidden(values);
    // Two blocks of width 12 and a norm: some ten roundings of numbers of size 1 to 3.
    expect_close(hidden.data(), want.data(), int64_t(want.size()), 5e-6, 5e-6, "hidden");

    for (const Segment& s : all.rows.segments) {
      SasrecRows one;
      one.append(*model, all.rows.items.data() + s.row_begin, s.rows);
      sasrec_forward(ctx, *model, one, alone.data(), saved);
      expect_same_bits(alone.data(), hidden.data() + s.row_begin * shape.width,
                       s.rows * shape.width, "a sequence alone");
    }
  }
}

RR_TEST("sasrec: gradient of the whole network by central differences, with dropout") {
  for (const Kernels* kernels : cpu_kernels())
    for (const double dropout : {0.0, 0.3}) {
      TestContext ctx(*kernels, 2);
      SasrecShape shape{7, 5, 6, 2, 2, 1e-5f};  // small: differences cost a forward per parameter
      const auto model = small_model(ctx, shape);
      const Sequences data = sequences(shape, 2);
      const Inputs inputs = inputs_of(*model, data);
      const SasrecStep step = step_with(dropout, 0);
      SasrecTrainer trainer(ctx, *model);
      const SasrecResult result = trainer.accumulate(ctx, data, step, {});
      expect(result.rows == inputs.rows.rows(), "rows");
      const ReferenceSasrec reference(*model, inputs.rows, {step.dropout, step.seed, 0});
      std::vector<double> values(model->values(), model->values() + model->layout().total);
      const auto loss = [&] { return reference.softmax_loss(values, inputs.targets) / 11; };
      expect(std::fabs(result.loss - loss()) <= 1e-5 * loss(), "loss");
      std::vector<double> want(values.size());
      for (size_t i = 0; i < want.size(); ++i) want[i] = central_difference(loss, values, i, 1e-6);
      // Gradients are sums over 24 rows of size up to 1; a width of 6 has norms with 1 / std of
      // up to about 5, which multiply the rounding.
      expect_close(trainer.gradients(), want.data(), int64_t(want.size()), 2e-5, 2e-4,
                   "gradient, dropout " + std::to_string(dropout));
    }
}

RR_TEST("sasrec: the same bits however a step is cut and on any thread count") {
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t negatives : {0, 3}) {
      TestContext two(*kernels, 3), single(*kernels, 1);
      const SasrecShape shape = small_shape();
      const auto model = small_model(two, shape);
      const Sequences data = sequences(shape, 3);
      SasrecStep step = step_with(0.2, negatives);
      SasrecTrainer whole(two, *model), cut(two, *model), one(single, *model), calls(two, *model);
      const SasrecResult a = whole.accumulate(two, data, step, {});
      step.row_budget = 8;
      const SasrecResult b = cut.accumulate(two, data, step, {});
      one.accumulate(single, data, step, {});
      double loss = 0;
      for (size_t i = 0; i + 1 < data.offsets.size(); ++i) {
        const Sequences own{
            {data.items.begin() + data.offsets[i], data.items.begin() + data.offsets[i + 1]},
            {0, data.offsets[i + 1] - data.offsets[i]}};
        loss += calls.accumulate(two, own, step, {}).loss;
      }
      // Sums in doubles, in another order.
      expect(a.rows == b.rows && std::fabs(a.loss - b.loss) < 1e-12 &&
                 std::fabs(a.loss - loss) < 1e-12,
             "losses");
      const int64_t n = model->layout().total;
      expect(std::any_of(whole.gradients(), whole.gradients() + n, [](float g) { return g != 0; }),
             "there is a gradient");
      expect_same_bits(cut.gradients(), whole.gradients(), n, "small budget");
      expect_same_bits(one.gradients(), whole.gradients(), n, "one thread");
      expect_same_bits(calls.gradients(), whole.gradients(), n, "one sequence a call");
    }
}

RR_TEST("sasrec: negatives are spread over the catalogue and spare the sequence") {
  TestContext ctx(*cpu_kernels().front(), 2);
  const SasrecShape shape{40, 8, 4, 1, 1, 1e-8f};
  SasrecModel model(shape, 1);
  SasrecTrainer trainer(ctx, model);
  const Sequences data{{3, 1, 4, 5, 9, 2, 6}, {0, 7}};
  SasrecStep step = step_with(0, 200);
  trainer.accumulate(ctx, data, step, {});
  // The head's part of an item's gradient is ds times a normalised row: zero only where undrawn.
  int touched = 0;
  for (int64_t item = 0; item < shape.items; ++item)
    touched += trainer.gradients()[item * shape.width] != 0;
  expect(touched == 40, "all items are drawn: " + std::to_string(touched));
  // With all but one item in the sequence only that one can be drawn.
  Sequences most;
  for (int32_t i = 0; i < 9; ++i) most.items.push_back(i);
  most.offsets = {0, 9};
  const SasrecShape tiny{10, 9, 4, 1, 1, 1e-8f};
  SasrecModel few(tiny, 1);
  SasrecTrainer other(ctx, few);
  step.negatives = 1;
  step.positive_weight = 0;  // then only negatives touch the head, and inputs the table
  other.accumulate(ctx, most, step, {});
  float last = 0;
  for (int64_t j = 0; j < 4; ++j) last = std::max(last, std::fabs(other.gradients()[9 * 4 + j]));
  expect(last > 0, "the one item outside the sequence is drawn");
  // Item 8 is the last target and no input: its row would move only as a negative.
  for (int64_t j = 0; j < 4; ++j) expect(other.gradients()[8 * 4 + j] == 0, "items are spared");
}

RR_TEST("sasrec: scores are the logits after the last item, of candidates or of all") {
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 2);
    const SasrecShape shape = small_shape();
    const auto model = small_model(ctx, shape);
    const Sequences histories = sequences(shape, 4);
    const auto all = sasrec_scores(ctx, *model, histories, {{}, {0}}, 4096, {});
    const auto cut = sasrec_scores(ctx, *model, histories, {{}, {0}}, 5, {});
    expect_same_bits(cut.data(), all.data(), int64_t(all.size()), "small budget");
    Sequences candidates{{}, {0}};
    for (int64_t i = 0; i < histories.count(); ++i) {
      for (const int32_t c : {int32_t(i), 22, 3}) candidates.items.push_back(c);
      candidates.offsets.push_back(int32_t(candidates.items.size()));
    }
    const auto some = sasrec_scores(ctx, *model, histories, candidates, 4096, {});
    for (size_t i = 0; i < some.size(); ++i)
      expect(some[i] == all[i / 3 * size_t(shape.items) + size_t(candidates.items[i])],
             "a candidate's score");
    const size_t empty = 4;
    expect(all[empty * size_t(shape.items)] == 0, "no history, no preference");
  }
}

RR_TEST("sasrec: learns what follows what; goes on from a saved state with the same bits") {
  for (const int64_t negatives : {0, 1}) {
    TestContext ctx(*cpu_kernels().back(), 2);
    const SasrecShape shape{12, 6, 16, 1, 1, 1e-8f};
    SasrecModel model(shape, 3), other(shape, 4);
    SasrecTrainer trainer(ctx, model), resumed(ctx, other);
    Sequences data;
    data.offsets.push_back(0);
    for (int32_t start = 0; start < 12; ++start) {
      for (int32_t i = 0; i < 6; ++i) data.items.push_back((start + 5 * i) % 12);
      data.offsets.push_back(int32_t(data.items.size()));
    }
    const auto advance = [&](SasrecTrainer& t, uint64_t from, uint64_t to) {
      SasrecResult last;
      for (uint64_t i = from; i < to; ++i) {
        SasrecStep step = step_with(0.1, negatives);
        step.normaliser = 60;
        step.positive_weight = 1;
        step.seed = i;
        last = t.accumulate(ctx, data, step, {});
        t.apply(ctx, {0.01f, 0.9f, 0.98f, 1e-8f, 0.0f, 0.0f});
      }
      return last.loss;
    };
    const double first = advance(trainer, 0, 1);
    advance(trainer, 1, 60);
    const TemporaryFolder folder;
    const std::string file = folder / "state.safetensors";
    save_training_state({model.layout(), trainer.optimiser(), model.values()}, file);
    const double loss = advance(trainer, 60, 120);
    expect(loss < 0.35 * first, "loss " + std::to_string(first) + " -> " + std::to_string(loss));
    load_training_state({other.layout(), resumed.optimiser(), other.values()}, file);
    other.refresh(ctx);
    advance(resumed, 60, 120);
    expect_same_bits(other.values(), model.values(), model.layout().total, "resumed");
    const auto scores = sasrec_scores(ctx, model, {{0, 5, 10}, {0, 3}}, {{}, {0}}, 64, {});
    expect(std::max_element(scores.begin(), scores.end()) - scores.begin() == 3, "10 + 5 mod 12");
  }
}

RR_TEST("sasrec: bad input is refused and leaves no half gradient") {
  TestContext ctx(*cpu_kernels().front(), 1);
  const SasrecShape shape = small_shape();
  const auto model = small_model(ctx, shape);
  SasrecTrainer trainer(ctx, *model);
  const auto code_of = [&](auto&& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.code;
    }
    return "";
  };
  const SasrecStep step = step_with(0, 0);
  const Sequences outside{{0, 23}, {0, 2}}, torn{{0, 1}, {0, 3}};
  expect(code_of([&] { trainer.accumulate(ctx, outside, step, {}); }) == "RR_ITEM_OUT_OF_RANGE",
         "item outside the catalogue");
  expect(code_of([&] { trainer.accumulate(ctx, torn, step, {}); }) == "RR_BAD_ARGUMENT", "offsets");
  expect(code_of([&] { SasrecModel(SasrecShape{5, 5, 10, 1, 3, 1e-8f}, 0); }) == "RR_BAD_MODEL",
         "heads");
  std::atomic<int32_t> words[4] = {1, 0, 0, 0};
  const Job stopped{words};
  trainer.accumulate(ctx, sequences(shape, 5), step, {});
  expect(code_of([&] { trainer.accumulate(ctx, sequences(shape, 5), step, stopped); }) ==
             "RR_CANCELLED",
         "cancelled");
  for (int64_t i = 0; i < model->layout().total; ++i)
    expect(trainer.gradients()[i] == 0, "gradients are dropped");
}

}  // namespace reasonrec::test
