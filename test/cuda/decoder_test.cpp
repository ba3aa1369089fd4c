// A whole tiny decoder through the C table: log-probs and adapter gradients against the CPU engine
// (itself held to fp64 by decoder_test.cpp of test/native), and decoding from a cache against
// training, to the bit.
#include "table_decoder.h"
#include "tiny_decoder.h"

namespace reasonrec::test {
namespace {

struct Trained {
  TestContext context{*cpu_kernels().front()};
  std::unique_ptr<Model> model;
  std::unique_ptr<Adapter> adapter;
  Example example;

  // A prompt with two children and a lone text; weights of either sign, the prompt's rows among
  // them.
  Trained(const Family& family, DataType type, uint64_t seed)
      : model(tiny_model(context, family.config, seed)),
        adapter(tiny_adapter(context, family.config, 3, seed + 2)) {
    for (const Parameter& p : model->layout().entries)
      for (int64_t i = 0; i < p.size() && p.decay && type == kBF16; ++i)
        model->values()[p.offset + i] = representable({model->values()[p.offset + i]}, type)[0];
    model->refresh(context);
    model->prepare_forward(context, family.config.max_position);
    Random random(seed + 3);
    const auto segment = [&](int64_t rows, int32_t parent, int32_t position) {
      std::vector<float> weights;
      for (int64_t i = 0; i < rows; ++i) weights.push_back(float(0.3 * random.normal()));
      return append(example, random_ids(random, family.config, rows), weights, parent, position);
    };
    const int32_t prompt = segment(9, -1, 0);
    segment(4, prompt, 9);
    segment(6, prompt, 9);
    segment(5, -1, 0);
  }
};

double norm_of(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

}  // namespace

RR_TEST("cuda decoder: log-probs and adapter gradients are the CPU engine's") {
  under_every_order([](uint64_t seed) {
    // qwen2 (biases, tied head), qwen3 (norms of heads), llama: one under each order, both types.
    const auto all = families();
    const Family& family = all[seed == 0 ? 5 : seed == 1 ? 6 : 0];
    for (const DataType type : kTypes) {
      Trained t(family, type, 190 + seed);
      Pass pass;
      PassOptions options;
      options.model_gradients = false;
      pass.run(t.context, *t.model, {nullptr, t.adapter.get()}, t.example, options);
      TableDecoder decoder(type, *t.model, *t.adapter);
      const auto logprob = decoder.logprobs(t.example.batch, t.example.targets, nullptr);
      // fp32: sums of some forty products through two layers. bf16: about thirty roundings of 2^-9
      // on the way, of log-probs of size 4; a wrong term would be off by units.
      expect_close(logprob.data(), to_double(pass.logprobs).data(), int64_t(logprob.size()),
                   type == kBF16 ? 0.15 : 2e-5, type == kBF16 ? 0 : 2e-5,
                   family.name + " log-probs in " + name_of(type));
      decoder.backward(t.example.batch, t.example.weights);
      for (const Parameter& p : t.adapter->layout().entries) {
        const auto got = decoder.gradient(p.name);
        std::vector<double> want, difference;
        for (int64_t i = 0; i < p.size(); ++i) {
          want.push_back(double(pass.adapter[size_t(p.offset + i)]));
          difference.push_back(double(got[size_t(i)]) - want.back());
        }
        const double error = norm_of(difference) / norm_of(want);
        // bf16: some thirty roundings of 2^-8 of either sign on the way make 2 %; q and k learn
        // from dp - D, where two numbers of one size cancel, which leaves up to five times that.
        expect(error <= (type == kBF16 ? 0.12 : 2e-5), family.name + " " + p.name + " in " +
                                                           name_of(type) + ": relative error " +
                                                           std::to_string(error));
      }
    }
  });
}

RR_TEST("cuda decoder: a token decoded from the cache has the log-prob it is trained with") {
  under_every_order([](uint64_t seed) {
    const Family family = families()[seed == 2 ? 6 : 5];
    const DataType type = kTypes[seed % 2];
    Trained t(family, type, 196 + seed);
    TableDecoder decoder(type, *t.model, *t.adapter);
    const Example& e = t.example;
    const auto want = decoder.logprobs(e.batch, e.targets, nullptr);

    // The prompt's children, token by token, beside each other; the lone text stays away.
    const std::vector<Segment>& tree = e.batch.segments;
    const int64_t narrow = int64_t(family.config.kv_heads) * family.config.head_dim;
    TableDecoder::Cache cache;
    for (int64_t l = 0; l < family.config.layers; ++l) {
      cache.k.emplace_back(type, std::vector<float>(size_t(64 * narrow), NAN));
      cache.v.emplace_back(type, std::vector<float>(size_t(64 * narrow), NAN));
    }
    cache.first_slots = {40, 0, 20};
    const auto step = [&](const std::vector<Segment>& segments, const std::vector<int64_t>& rows) {
      Batch batch;
      std::vector<int32_t> targets;
      cache.row_slots.clear();
      batch.segments = segments;
      for (const int64_t row : rows) {
        batch.ids.push_back(e.batch.ids[size_t(row)]);
        batch.positions.push_back(e.batch.positions[size_t(row)]);
        targets.push_back(e.targets[size_t(row)]);
      }
      for (size_t s = 0; s < segments.size(); ++s)
        for (int64_t i = 0; i < segments[s].rows; ++i)
          cache.row_slots.push_back(int32_t(cache.first_slots[s] + segments[s].past + i));
      const auto got = decoder.logprobs(batch, targets, &cache);
      for (size_t i = 0; i < rows.size(); ++i)
        expect_same_bits(&got[i], &want[size_t(rows[i])], 1, "row " + std::to_string(rows[i]));
    };
    std::vector<int64_t> prompt;
    for (int64_t i = 0; i < tree[0].rows; ++i) prompt.push_back(i);
    step({{-1, 0, tree[0].rows, 0}, {0, tree[0].rows, 0, 0}, {0, tree[0].rows, 0, 0}}, prompt);
    for (int64_t i = 0; i < tree[1].rows; ++i)
      step({{-1, 0, 0, tree[0].rows}, {0, 0, 1, i}, {0, 1, 1, i}},
           {tree[1].row_begin + i, tree[2].row_begin + i});
  });
}

}  // namespace reasonrec::test
