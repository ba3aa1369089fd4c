// The whole decoder: log-probs and every gradient against an fp64 decoder and its central
// differences; and the identities between the ways of running the same tokens (packed or alone,
// saved or recomputed, shared or unshared prefix, cached or at once, one thread or two).
#include "tiny_decoder.h"

#include "reference_decoder.h"

namespace reasonrec::test {
namespace {

const std::vector<int64_t> kLengths = {9, 1, 5, 17};

Example packed(Random& random, const ModelConfig& config,
               const std::vector<int64_t>& lengths = kLengths) {
  Example e;
  for (const int64_t n : lengths) append(e, random_ids(random, config, n), random.normals(n));
  return e;
}

// One example per segment, for examples without parents.
std::vector<Example> apart(const Example& e) {
  std::vector<Example> out;
  for (const Segment& s : e.batch.segments) {
    const auto from = size_t(s.row_begin), to = size_t(s.row_begin + s.rows);
    Example one;
    append(one, {e.batch.ids.begin() + from, e.batch.ids.begin() + to},
           {e.weights.begin() + from, e.weights.begin() + to});
    out.push_back(one);
  }
  return out;
}

// Loss of the fp64 decoder over the root segments of e.
double reference_loss(const ReferenceDecoder& decoder, const Example& e) {
  double loss = 0;
  for (const Example& one : apart(e)) {
    const Doubles logprobs = decoder.logprobs(one.batch.ids);
    for (size_t i = 0; i < logprobs.size(); ++i) loss += double(one.weights[i]) * logprobs[i];
  }
  return loss;
}

double largest(const float* x, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n; ++i) most = std::max(most, std::fabs(double(x[i])));
  return most;
}

// Some entries of every tensor against central differences of `loss`. The differences are exact to
// about 1e-9; what is left is fp32 rounding of the engine, which is relative to the terms a
// gradient sums up and not to the sum: 3e-5 of the tensor's largest gradient, or of a hundredth of
// the largest of all where a tensor's own gradient cancels (k_proj.bias).
template <class Loss>
void check_gradients(const std::string& what, const ParameterLayout& layout, const float* gradients,
                     Tensors& values, Random& random, Loss loss) {
  const double overall = largest(gradients, layout.total);
  for (const Parameter& p : layout.entries) {
    const float* g = gradients + p.offset;
    const double tolerance = 3e-5 * std::max(largest(g, p.size()), 0.01 * overall);
    for (int sample = 0; sample < 4; ++sample) {
      const int64_t i = random.integer(p.size());
      const double want = central_difference(loss, values.at(p.name), size_t(i));
      expect_close(g + i, &want, 1, tolerance, 0,
                   what + ", d loss / d " + p.name + "[" + std::to_string(i) + "]");
    }
  }
}

void check_family(const Kernels& kernels, const Family& family) {
  TestContext context(kernels);
  const ModelConfig& config = family.config;
  const std::string what = family.name + ", " + kernels.name;
  const auto model = tiny_model(context, config, 11);
  const auto frozen = tiny_adapter(context, config, 3, 12, 0, 0x55);  // q, v, gate, down
  const auto trained = tiny_adapter(context, config, 5, 13);
  Random random(14);
  const Example example = packed(random, config);

  Pass pass;
  pass.run(context, *model, {frozen.get(), trained.get()}, example);

  ReferenceDecoder reference{config, tensors_of(model->layout(), model->values()), {}, nullptr};
  reference.adapters = {ReferenceAdapter(*frozen), ReferenceAdapter(*trained)};
  int64_t row = 0;
  for (const Example& one : apart(example)) {
    const Doubles want = reference.logprobs(one.batch.ids);
    // 1e-5: forty rounded operations deep at log-probs of about 5
    expect_close(pass.logprobs.data() + row, want.data(), int64_t(want.size()), 1e-5, 2e-6,
                 what + ", log-probs");
    row += one.batch.rows();
  }
  const auto loss = [&] { return reference_loss(reference, example); };
  check_gradients(what, trained->layout(), pass.adapter.data(), reference.adapters[1].tensors,
                  random, loss);
  pass.join_head(*model);
  check_gradients(what, model->layout(), pass.model.data(), reference.tensors, random, loss);
}

RR_TEST("decoder: log-probs and every gradient of every family against fp64 differences") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Family& family : families()) check_family(*kernels, family);
}

RR_TEST("decoder: dropout masks the adapters' input in forward and backward") {
  TestContext context(*cpu_kernels().back());
  const ModelConfig config = families().back().config;
  const auto model = tiny_model(context, config, 21);
  const auto trained = tiny_adapter(context, config, 4, 22, 0.3f);
  Random random(23);
  const Example example = packed(random, config, {11});
  PassOptions options;
  options.dropout = 0.3f;
  options.first_row = 5;
  Pass pass;
  pass.run(context, *model, {nullptr, trained.get()}, example, options);

  const int64_t t = example.batch.rows();
  const int64_t widths[4] = {config.hidden, int64_t(config.heads) * config.head_dim, config.hidden,
                             config.intermediate};
  std::vector<std::vector<float>> masks;
  for (int64_t stream = 0; stream < config.layers * 4; ++stream) {
    const int64_t width = widths[stream % 4];
    masks.emplace_back(size_t(t * width), 1.0f);
    context.context.kernels->dropout(context, masks.back().data(), masks.back().data(),
                                     options.first_row * width, t * width, options.dropout,
                                     options.dropout_seed, uint64_t(stream));
  }
  ReferenceDecoder reference{
      config,
      tensors_of(model->layout(), model->values()),
      {ReferenceAdapter(*trained)},
      [&](int stream, int64_t i) { return double(masks[size_t(stream)][size_t(i)]); }};
  const Doubles want = reference.logprobs(example.batch.ids);
  expect_close(pass.logprobs.data(), want.data(), t - 1, 1e-5, 2e-6, "log-probs with dropout");
  const auto loss = [&] { return reference_loss(reference, example); };
  check_gradients("dropout", trained->layout(), pass.adapter.data(), reference.adapters[0].tensors,
                  random, loss);
  pass.join_head(*model);
  check_gradients("dropout", model->layout(), pass.model.data(), reference.tensors, random, loss);
}

struct Setup {
  TestContext context;
  ModelConfig config;
  std::unique_ptr<Model> model;
  std::unique_ptr<Adapter> frozen, trained;
  AdapterStack stack;
  Setup(const Kernels& kernels, const ModelConfig& c, int threads = 2)
      : context(kernels, threads), config(c) {
    model = tiny_model(context, config, 31);
    frozen = tiny_adapter(context, config, 3, 32);
    trained = tiny_adapter(context, config, 5, 33);
    stack = {frozen.get(), trained.get()};
  }
};

void expect_same_pass(const Pass& got, const Pass& want, const std::string& what) {
  expect(got.logprobs.size() == want.logprobs.size() && got.adapter.size() == want.adapter.size() &&
             got.model.size() == want.model.size() && got.head.size() == want.head.size(),
         what + ": sizes differ");
  expect_same_bits(got.logprobs.data(), want.logprobs.data(), int64_t(want.logprobs.size()),
                   what + ", log-probs");
  expect_same_bits(got.hidden.data(), want.hidden.data(), int64_t(want.hidden.size()),
                   what + ", hidden");
  expect_same_bits(got.adapter.data(), want.adapter.data(), int64_t(want.adapter.size()),
                   what + ", adapter gradient");
  expect_same_bits(got.head.data(), want.head.data(), int64_t(want.head.size()),
                   what + ", head gradient");
  expect_same_bits(got.model.data(), want.model.data(), int64_t(want.model.size()),
                   what + ", model gradient");
}

RR_TEST("decoder: packed sequences have the bits of sequences alone") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Family& family : identity_families()) {
      Setup s(*kernels, family.config);
      Random random(34);
      const Example example = packed(random, s.config, {9, 1, 5, 17, 33});
      Pass together, alone;
      together.run(s.context, *s.model, s.stack, example);
      std::vector<float> logprobs, hidden;
      for (const Example& one : apart(example)) {
        alone.run(s.context, *s.model, s.stack, one);
        logprobs.insert(logprobs.end(), alone.logprobs.begin(), alone.logprobs.end());
        hidden.insert(hidden.end(), alone.hidden.begin(), alone.hidden.end());
      }
      alone.logprobs = logprobs;
      alone.hidden = hidden;
      expect_same_pass(alone, together, family.name + ", " + kernels->name);
    }
}

RR_TEST("decoder: recomputed layers have the bits of saved ones") {
  for (const Kernels* kernels : cpu_kernels())
    for (const float dropout : {0.0f, 0.2f}) {
      Setup s(*kernels, identity_families().back().config);
      Random random(35);
      const Example example = packed(random, s.config);
      PassOptions options;
      options.dropout = dropout;
      Pass saved, recomputed;
      saved.run(s.context, *s.model, s.stack, example, options);
      options.recompute = true;
      recomputed.run(s.context, *s.model, s.stack, example, options);
      expect_same_pass(recomputed, saved, kernels->name);
    }
}

RR_TEST("decoder: one thread and two give the same bits") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Compute compute : {Compute::kF32, Compute::kBF16}) {
      Pass passes[2];
      for (int threads = 1; threads <= 2; ++threads) {
        ModelConfig config = families()[1].config;
        config.compute = compute;
        Setup s(*kernels, config, threads);
        Random random(36);
        passes[threads - 1].run(s.context, *s.model, s.stack,
                                packed(random, s.config, {40, 3, 21}));
      }
      expect_same_pass(passes[1], passes[0], kernels->name);
    }
}

RR_TEST("decoder: an adapter's gradient has the same bits whether or not the base learns") {
  Setup s(*cpu_kernels().back(), families()[5].config);
  Random random(37);
  const Example example = packed(random, s.config);
  Pass both, alone;
  both.run(s.context, *s.model, s.stack, example);
  PassOptions options;
  options.model_gradients = false;
  alone.run(s.context, *s.model, s.stack, example, options);
  expect_same_bits(alone.adapter.data(), both.adapter.data(), int64_t(both.adapter.size()),
                   "adapter gradient");
}

// Two completions and, under the first, two continuations; each child begins with the token its
// parent ends on, so that every row has one target.
RR_TEST("decoder: a prefix shared by a tree of segments equals copies of it") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Family& family : families()) {
      Setup s(*kernels, family.config);
      Random random(38);
      const auto prompt = random_ids(random, s.config, 18), first = random_ids(random, s.config, 7),
                 second = random_ids(random, s.config, 12), third = random_ids(random, s.config, 4),
                 fourth = random_ids(random, s.config, 6);
      const auto ones = [](size_t n) { return std::vector<float>(n, 1.0f); };
      Example tree;
      const int32_t root = append(tree, prompt, std::vector<float>(18, 0.5f));
      const int32_t child = append(tree, first, ones(7), root, 18);
      append(tree, second, ones(12), root, 18);
      append(tree, third, ones(4), child, 25);
      append(tree, fourth, ones(6), child, 25);

      Example copies;  // the shared parts carry their weight once
      const auto path = [&](std::vector<std::vector<int32_t>> parts, std::vector<float> weight) {
        std::vector<int32_t> ids;
        std::vector<float> weights;
        for (size_t i = 0; i < parts.size(); ++i) {
          ids.insert(ids.end(), parts[i].begin(), parts[i].end());
          weights.insert(weights.end(), parts[i].size() - 1, weight[i]);
          weights.push_back(0);
        }
        append(copies, ids, weights);
      };
      path({prompt, first, third}, {0.5f, 1, 1});
      path({prompt, second}, {0, 1});
      path({prompt, first, fourth}, {0, 0, 1});

      Pass shared, unshared;
      shared.run(s.context, *s.model, s.stack, tree);
      unshared.run(s.context, *s.model, s.stack, copies);
      // 1e-5: the softmax's sum runs over differently cut key tiles
      const auto same = [&](const std::vector<float>& a, const std::vector<float>& b,
                            const char* of) {
        const Doubles want = to_double(b);
        expect_close(a.data(), want.data(), int64_t(want.size()),
                     1e-5 * std::max(1.0, largest(b.data(), int64_t(b.size()))), 1e-5,
                     family.name + ", " + kernels->name + ", " + of);
      };
      same(shared.adapter, unshared.adapter, "adapter gradient");
      shared.join_head(*s.model);
      unshared.join_head(*s.model);
      same(shared.model, unshared.model, "model gradient");
      const auto rows = [&](int64_t tree_row, int64_t copy_row, int64_t n) {
        const int64_t h = s.config.hidden;
        same({shared.hidden.begin() + tree_row * h, shared.hidden.begin() + (tree_row + n) * h},
             {unshared.hidden.begin() + copy_row * h, unshared.hidden.begin() + (copy_row + n) * h},
             "hidden");
      };
      rows(0, 0, 25);         // prompt, first
      rows(25, 29 + 18, 12);  // second
      rows(37, 25, 4);        // third
      rows(41, 29 + 30 + 25, 6);
    }
}

RR_TEST("decoder: two stacked adapters act like their concatenation") {
  Setup s(*cpu_kernels().back(), families()[4].config);
  const auto attention_only = tiny_adapter(s.context, s.config, 4, 39, 0, 0x0b);
  const auto joined = Adapter::concatenate(s.config, *attention_only, *s.trained);
  joined->refresh(s.context);
  expect(joined->config().rank == 9 && joined->config().scale() == 1,
         "rank and scale of the concatenation");
  Random random(40);
  const Example example = packed(random, s.config);
  Pass stacked, one;
  stacked.run(s.context, *s.model, {attention_only.get(), s.trained.get()}, example);
  one.run(s.context, *s.model, {joined.get(), nullptr}, example);
  const Doubles want = to_double(stacked.logprobs);
  // 1e-5: s is multiplied into B instead of A
  expect_close(one.logprobs.data(), want.data(), example.batch.rows(), 1e-5, 1e-5, "log-probs");
  const Doubles model_gradient = to_double(stacked.model);
  expect_close(one.model.data(), model_gradient.data(), int64_t(model_gradient.size()), 1e-4, 1e-5,
               "model gradient");
}

// Decoding: keys of earlier calls in long-lived blocks, rows in any split.
RR_TEST("decoder: keys cached over several calls give the bits of one call") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Family& family : identity_families()) {
      Setup s(*kernels, family.config);
      Random random(41);
      const auto prompt = random_ids(random, s.config, 19),
                 completion = random_ids(random, s.config, 21);
      Example tree;
      append(tree, prompt, std::vector<float>(19));
      append(tree, completion, std::vector<float>(21), 0, 19);
      Pass at_once;
      at_once.run(s.context, *s.model, s.stack, tree);

      const int64_t capacity = 64, floats_k = kv_floats_k(s.config, kernels->panel, capacity),
                    floats_v = kv_floats_v(s.config, kernels->panel, capacity);
      Buffer memory(s.config.layers * 2 * (floats_k + floats_v));
      KvBlocks blocks;
      float* next = memory.data();
      for (int64_t l = 0; l < s.config.layers; ++l) {
        blocks.layers.emplace_back();
        for (int segment = 0; segment < 2; ++segment, next += floats_k + floats_v)
          blocks.layers.back().push_back({next, next + floats_k, capacity});
      }
      const int64_t h = s.config.hidden;
      int64_t past_prompt = 0, past_completion = 0, row = 0;
      for (const auto& [count, in_prompt] : std::vector<std::pair<int64_t, bool>>{
               {16, true}, {3, true}, {1, false}, {1, false}, {17, false}, {2, false}}) {
        Batch batch;
        batch.append(prompt.data() + past_prompt, in_prompt ? count : 0, -1, int32_t(past_prompt),
                     past_prompt);
        batch.append(completion.data() + past_completion, in_prompt ? 0 : count, 0,
                     int32_t(19 + past_completion), past_completion);
        std::vector<float> hidden = nans(count * h);
        decoder_forward(s.context, *s.model, s.stack, batch, blocks, hidden.data(), nullptr);
        expect_same_bits(hidden.data(), at_once.hidden.data() + row * h, count * h,
                         family.name + ", " + kernels->name + ", rows from " + std::to_string(row));
        (in_prompt ? past_prompt : past_completion) += count;
        row += count;
      }
    }
}

template <class Call>
void expect_error(const char* code, const std::string& what, Call call) {
  try {
    call();
  } catch (const Error& error) {
    expect(error.code == code,
           what + ": expected " + code + ", got " + error.code + " (" + error.what() + ")");
    return;
  }
  throw Failure{what + ": expected " + code + ", nothing was thrown"};
}

RR_TEST("decoder: a batch that would index out of bounds is refused") {
  Setup s(*cpu_kernels().back(), families()[0].config);
  std::vector<float> hidden(1024);
  const auto forward = [&](int32_t id, int32_t position, const AdapterStack& stack) {
    Batch batch;
    batch.append(&id, 1, -1, position);
    Activations saved;
    decoder_forward_train(s.context, *s.model, stack, batch, hidden.data(), saved);
  };
  forward(40, 63, s.stack);
  expect_error("RR_TOKEN_OUT_OF_RANGE", "a token beyond the vocabulary",
               [&] { forward(41, 0, s.stack); });
  expect_error("RR_TOKEN_OUT_OF_RANGE", "a negative token", [&] { forward(-1, 0, s.stack); });
  expect_error("RR_PROMPT_TOO_LONG", "a position beyond the last",
               [&] { forward(0, 64, s.stack); });
  const auto other = tiny_adapter(s.context, families().back().config, 4, 42);
  expect_error("RR_SHAPE_MISMATCH", "another model's adapter",
               [&] { forward(0, 0, {other.get(), nullptr}); });
  expect_error("RR_SHAPE_MISMATCH", "a concatenation across models",
               [&] { Adapter::concatenate(s.config, *s.trained, *other); });
  const auto forward_only = Model::random(s.context, s.config, 1, 0.1f);
  expect_error("RR_NOT_TRAINABLE", "a backward without transposed panels", [&] {
    Activations saved;
    decoder_backward(s.context, *forward_only, {}, Batch{}, saved, hidden.data(), {});
  });
  const auto unpacked = tiny_adapter(s.context, s.config, 4, 43);
  unpacked->initialise(1);
  expect_error("RR_ADAPTER_NOT_READY", "an adapter not refreshed",
               [&] { forward(0, 0, {unpacked.get(), nullptr}); });
}

}  // namespace
}  // namespace reasonrec::test
