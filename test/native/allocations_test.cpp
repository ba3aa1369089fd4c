// No allocation in the steady state: once buffers have grown, a decoding step and a training pass
// of the same shape take nothing from the heap, whatever the number of layers. Calls of
// operator new are counted; kernels' memory (Workspace) is not made by it and is compared.
#include "allocations.h"

#include "tiny_decoder.h"

namespace reasonrec::test {
namespace {

ModelConfig config_of(Compute compute, int64_t layers) {
  ModelConfig config = families()[5].config;  // qwen2: biases, tied head
  config.compute = compute;
  config.layers = layers;
  return config;
}

// Of one decoding step of three rows below one prompt.
int64_t decoding(const Kernels& kernels, Compute compute, int64_t layers) {
  TestContext context(kernels, 2);
  const ModelConfig config = config_of(compute, layers);
  const auto model = Model::random(context, config, 3, 0.2f, WeightType::kAuto);
  const auto adapter = tiny_adapter(context, config, 4, 5);
  const int64_t h = config.hidden, capacity = 64, rows = 3;
  const int64_t floats_k = kv_floats_k(config, kernels.panel, capacity),
                floats_v = kv_floats_v(config, kernels.panel, capacity);
  Buffer memory(layers * (rows + 1) * (floats_k + floats_v));
  KvBlocks blocks;
  float* next = memory.data();
  for (int64_t l = 0; l < layers; ++l) {
    blocks.layers.emplace_back();
    for (int64_t s = 0; s <= rows; ++s, next += floats_k + floats_v)
      blocks.layers.back().push_back({next, next + floats_k, capacity});
  }
  const std::vector<int32_t> ids{1, 2, 3, 4, 5, 6, 7};
  std::vector<float> hidden(size_t(7 * h)), lse(7), logits(size_t(7 * config.vocab));
  int64_t last = 0;
  for (int step = 0; step < 4; ++step) {
    Batch batch;
    batch.append(ids.data(), step == 0 ? 7 : 0, -1, 0, step == 0 ? 0 : 7);
    for (int64_t r = 0; r < rows; ++r)
      batch.append(ids.data() + r, step == 0 ? 0 : 1, 0, 7 + step, step == 0 ? 0 : step - 1);
    const int64_t before = allocations(), bytes = context.workspace.bytes();
    decoder_forward(context, *model, {nullptr, adapter.get()}, batch, blocks, hidden.data(),
                    nullptr);
    kernels.head_forward(context, nullptr, nullptr, lse.data(), logits.data(), hidden.data(),
                         model->head(), nullptr, {}, 1, batch.rows(), h, config.vocab);
    last = allocations() - before;
    if (step > 1) expect(context.workspace.bytes() == bytes, "scratch memory does not grow");
  }
  return last;
}

// Of one forward and backward of a packed micro-batch.
int64_t training(const Kernels& kernels, Compute compute, int64_t layers) {
  TestContext context(kernels, 2);
  const ModelConfig config = config_of(compute, layers);
  const auto model = Model::random(context, config, 3, 0.2f, WeightType::kAuto);
  model->prepare_backward(context);
  const auto adapter = tiny_adapter(context, config, 4, 5);
  const AdapterStack stack{nullptr, adapter.get()};
  Random random(6);
  Example e;
  append(e, random_ids(random, config, 19), random.normals(19));
  append(e, random_ids(random, config, 5), random.normals(5), 0, 19);
  const int64_t t = e.batch.rows(), h = config.hidden, v = config.vocab;
  std::vector<float> hidden(size_t(t * h)), dhidden(hidden), lse(size_t(t), 0.0f), logprobs(lse),
      gradient(size_t(adapter -> layout().total));
  Activations saved;
  int64_t last = 0;
  for (int step = 0; step < 3; ++step) {
    const int64_t before = allocations(), bytes = context.workspace.bytes();
    decoder_forward_train(context, *model, stack, e.batch, hidden.data(), saved);
    kernels.head_forward(context, logprobs.data(), nullptr, lse.data(), nullptr, hidden.data(),
                         model->head(), e.targets.data(), {}, 1, t, h, v);
    kernels.head_backward(context, dhidden.data(), nullptr, e.weights.data(), nullptr,
                          hidden.data(), lse.data(), nullptr, model->head(), model->head_backward(),
                          e.targets.data(), {}, 1, t, h, v);
    decoder_backward(context, *model, stack, e.batch, saved, dhidden.data(),
                     {gradient.data(), nullptr});
    last = allocations() - before;
    if (step > 0) expect(context.workspace.bytes() == bytes, "scratch memory does not grow");
  }
  return last;
}

}  // namespace

RR_TEST("allocations: none in a decoding step once buffers have grown") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Compute compute : {Compute::kF32, Compute::kBF16})
      for (const int64_t layers : {1, 3}) {
        const int64_t count = decoding(*kernels, compute, layers);
        expect(count == 0, std::string(kernels->name) + ": " + std::to_string(count) +
                               " allocations in a step of " + std::to_string(layers) + " layers");
      }
}

RR_TEST(
    "allocations: a training pass takes the two lists of its key blocks and nothing per layer") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Compute compute : {Compute::kF32, Compute::kBF16})
      for (const int64_t layers : {1, 3}) {
        const int64_t count = training(*kernels, compute, layers);
        expect(count <= 4, std::string(kernels->name) + ": " + std::to_string(count) +
                               " allocations in a pass of " + std::to_string(layers) + " layers");
      }
}

}  // namespace reasonrec::test
