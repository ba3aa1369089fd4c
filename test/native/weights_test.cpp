// Weights and adapters in files: names, shapes, shards and stored formats; and that a model's
// panels follow its master.

#include "core/check.h"
#include "core/safetensors.h"
#include "temporary_folder.h"
#include "tiny_decoder.h"

namespace reasonrec::test {
namespace {

template <class Call>
void expect_error(const char* code, const std::string& part, Call call) {
  try {
    call();
  } catch (const Error& error) {
    expect(error.code == code,
           std::string("expected ") + code + ", got " + error.code + " (" + error.what() + ")");
    expect(std::string(error.what()).find(part) != std::string::npos,
           std::string(error.what()) + " does not name " + part);
    return;
  }
  throw Failure{std::string("expected ") + code + " about " + part + ", nothing was thrown"};
}

struct Stored {  // a model's tensors, to be written in any split
  std::vector<TensorToWrite> tensors;
  explicit Stored(Model& model) {
    for (const Parameter& p : model.layout().entries)
      tensors.push_back(
          {p.name, p.decay ? std::vector<int64_t>{p.rows, p.cols} : std::vector<int64_t>{p.cols},
           model.values() + p.offset});
  }
  void write(const std::string& path, size_t from, size_t to) const {
    write_safetensors(path, {tensors.begin() + int64_t(from), tensors.begin() + int64_t(to)});
  }
};

Pass pass_of(const Context& context, Model& model, const Example& example) {
  model.prepare_backward(context);
  Pass pass;
  pass.run(context, model, {}, example);
  return pass;
}

RR_TEST("weights: one file, shards and a saved model load to the same bits") {
  const TemporaryFolder folder;
  for (const Family& family : families()) {
    TestContext context(*cpu_kernels().back());
    const auto model = tiny_model(context, family.config, 51);
    const Stored stored(*model);
    const size_t n = stored.tensors.size();
    stored.write(folder / "1", 0, n / 3);
    stored.write(folder / "2", n / 3, n - 1);
    stored.write(folder / "3", n - 1, n);
    Random random(52);
    Example example;
    append(example, random_ids(random, family.config, 13), random.normals(13));
    const Pass want = pass_of(context, *model, example);

    auto sharded = Model::load(context, family.config, {folder / "3", folder / "1", folder / "2"});
    expect(
        !sharded->trainable() && sharded->values() == nullptr && sharded->head_backward().empty(),
        "loads frozen, forward only");
    sharded->save(context, folder / "frozen");  // from panels
    model->save(context, folder / "master");
    auto from_panels = Model::load(context, family.config, {folder / "frozen"});
    auto from_master = Model::load(context, family.config, {folder / "master"});
    for (const auto& loaded : {&sharded, &from_panels, &from_master}) {
      const Pass got = pass_of(context, **loaded, example);
      expect_same_bits(got.hidden.data(), want.hidden.data(), int64_t(want.hidden.size()),
                       family.name + ", hidden");
      expect_same_bits(got.model.data(), want.model.data(), int64_t(want.model.size()),
                       family.name + ", gradient");
    }
    sharded->make_trainable(context);
    expect_same_bits(sharded->values(), model->values(), model->layout().total,
                     family.name + ", master rebuilt from panels");
  }
}

RR_TEST("weights: refresh brings changed values to every panel") {
  TestContext context(*cpu_kernels().back());
  for (const Family& family : families()) {
    const auto first = tiny_model(context, family.config, 53),
               second = tiny_model(context, family.config, 54);
    std::copy_n(second->values(), second->layout().total, first->values());
    first->refresh(context);
    Random random(55);
    Example example;
    append(example, random_ids(random, family.config, 13), random.normals(13));
    const Pass got = pass_of(context, *first, example), want = pass_of(context, *second, example);
    expect_same_bits(got.hidden.data(), want.hidden.data(), int64_t(want.hidden.size()),
                     family.name + ", hidden");
    expect_same_bits(got.model.data(), want.model.data(), int64_t(want.model.size()),
                     family.name + ", gradient");
  }
}

RR_TEST("weights: random models have the deviation asked for and depend on the seed alone") {
  TestContext one(*cpu_kernels().back(), 1), two(*cpu_kernels().front(), 2);
  ModelConfig config = families()[0].config;
  config.vocab = 500;
  const auto a = Model::random(one, config, 5, 0.02f), b = Model::random(two, config, 5, 0.02f),
             c = Model::random(one, config, 6, 0.02f);
  for (Model* m : {a.get(), b.get(), c.get()}) m->make_trainable(one);
  expect_same_bits(a->values(), b->values(), 500 * config.hidden, "same seed");
  expect(std::memcmp(a->values(), c->values(), sizeof(float) * 64) != 0,
         "other seed, other weights");
  double sum = 0, squares = 0;
  const int64_t n = 500 * config.hidden;
  for (int64_t i = 0; i < n; ++i)
    sum += a->values()[i], squares += double(a->values()[i]) * a->values()[i];
  // 12,000 draws: the mean is within 5 standard errors, the deviation within 5 / sqrt(2 n)
  expect(std::fabs(sum / double(n)) < 5 * 0.02 / std::sqrt(double(n)), "mean");
  expect(std::fabs(std::sqrt(squares / double(n)) / 0.02 - 1) < 5 / std::sqrt(2.0 * double(n)),
         "deviation");
  expect(
      a->layout().at("model.norm.weight").decay == false && a->layout().at("lm_head.weight").decay,
      "decay flags");
}

RR_TEST("weights: files that do not fit the configuration are refused with the tensor named") {
  const TemporaryFolder folder;
  TestContext context(*cpu_kernels().back());
  const ModelConfig untied = families()[0].config, tied = families()[1].config;
  const auto model = tiny_model(context, untied, 56);
  Stored stored(*model);
  const std::string path = folder / "weights";
  const auto load = [&](const ModelConfig& config) { Model::load(context, config, {path}); };
  const auto rewrite = [&](const std::vector<TensorToWrite>& tensors) {
    write_safetensors(path, tensors);
  };

  rewrite(stored.tensors);
  load(untied);
  expect_error("RR_UNEXPECTED_TENSOR", "in more than one",
               [&] { Model::load(context, untied, {path, path}); });
  ModelConfig wider = untied;
  wider.intermediate += 1;
  expect_error("RR_SHAPE_MISMATCH", "mlp.gate_proj.weight", [&] { load(wider); });
  ModelConfig shallow = untied;
  shallow.layers = 1;
  expect_error("RR_UNEXPECTED_TENSOR", "model.layers.1.", [&] { load(shallow); });
  expect_error("RR_MISSING_TENSOR", "q_norm", [&] {
    ModelConfig normed = untied;
    normed.qk_norm = true;
    load(normed);
  });
  auto tensors = stored.tensors;
  tensors.pop_back();  // lm_head
  rewrite(tensors);
  expect_error("RR_MISSING_TENSOR", "lm_head.weight", [&] { load(untied); });

  const float frequencies[] = {1, 2, 3};
  tensors = stored.tensors;
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {3}, frequencies});
  rewrite(tensors);
  load(untied);
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", {3}, frequencies});
  rewrite(tensors);
  expect_error("RR_UNEXPECTED_TENSOR", "q_proj.bias", [&] { load(untied); });

  const auto tied_model = tiny_model(context, tied, 57);
  Stored with_head(*tied_model);
  with_head.tensors.push_back({"lm_head.weight", {tied.vocab, tied.hidden}, tied_model->values()});
  rewrite(with_head.tensors);
  load(tied);

  const Parameter& bad = model->layout().at("model.layers.1.mlp.up_proj.weight");
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    model->values()[bad.offset + 5] = value;
    rewrite(stored.tensors);
    expect_error("RR_NON_FINITE_WEIGHTS", bad.name, [&] { load(untied); });
  }
  ModelConfig odd = untied;
  odd.head_dim = 7;
  expect_error("RR_BAD_MODEL", "pairs", [&] { load(odd); });
}

RR_TEST("adapters: PEFT names, round trip through a file, and refusals") {
  const TemporaryFolder folder;
  TestContext context(*cpu_kernels().back());
  const ModelConfig config = families().back().config;
  const auto adapter = tiny_adapter(context, config, 4, 58);
  const Parameter& first = adapter->layout().entries[0];
  expect(first.name == "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" &&
             first.rows == 4 && first.cols == config.hidden,
         "first tensor is " + first.name);
  const Parameter& down =
      adapter->layout().at("base_model.model.model.layers.1.mlp.down_proj.lora_B.weight");
  expect(down.rows == config.hidden && down.cols == 4 && down.offset == adapter->offset_b(1, kDown),
         "down_proj.lora_B");

  const std::string path = folder / "adapter.safetensors";
  save_adapter(*adapter, path, {{"note", "x"}});
  expect(SafetensorsFile(path).metadata().at("format") == "pt", "format in the metadata");
  Adapter loaded(config, adapter->config());
  load_adapter_values(loaded, path);
  expect_same_bits(loaded.values(), adapter->values(), adapter->layout().total, "values");

  LoraConfig other = adapter->config();
  other.rank = 3;
  Adapter narrower(config, other);
  expect_error("RR_SHAPE_MISMATCH", "q_proj.lora_A", [&] { load_adapter_values(narrower, path); });
  other = adapter->config();
  other.targets[kDown] = false;
  Adapter fewer(config, other);
  expect_error("RR_UNEXPECTED_TENSOR", "down_proj", [&] { load_adapter_values(fewer, path); });
  save_adapter(fewer, path, {});
  expect_error("RR_MISSING_TENSOR", "down_proj", [&] { load_adapter_values(loaded, path); });
  other.targets.fill(false);
  expect_error("RR_BAD_ADAPTER", "linears", [&] { Adapter none(config, other); });

  LoraConfig listed = adapter->config();
  listed.modules = {{1, kDown, 3, 6}, {0, kQ, 2, 1}};
  const Adapter mixed(config, listed);
  expect(mixed.layout().entries.size() == 4 && mixed.offset_a(0, kQ) == 0 &&
             mixed.offset_a(0, kDown) == -1 && mixed.rank(1, kDown) == 3 &&
             mixed.scale(1, kDown) == 2 && mixed.scale(0, kQ) == 0.5f,
         "listed modules have their own rank and scale");
  save_adapter(mixed, path, {});
  expect_same_bits(load_adapter(config, listed, path)->values(), mixed.values(),
                   mixed.layout().total, "listed modules");
  listed.modules.push_back({0, kQ, 2, 1});
  expect_error("RR_BAD_ADAPTER", "adapted module", [&] { Adapter twice(config, listed); });
  listed.modules = {{config.layers, kQ, 2, 1}};
  expect_error("RR_BAD_ADAPTER", "layer", [&] { Adapter outside(config, listed); });
}

RR_TEST("adapters: a fresh one changes nothing, a clone lives on its own") {
  TestContext context(*cpu_kernels().back());
  const ModelConfig config = families().back().config;
  const auto model = tiny_model(context, config, 59);
  Random random(60);
  Example example;
  append(example, random_ids(random, config, 13), random.normals(13));
  const auto hidden = [&](const Adapter* adapter) {
    Pass pass;
    PassOptions options;
    options.model_gradients = false;
    pass.run(context, *model, {nullptr, adapter}, example, options);
    return pass.hidden;
  };
  const std::vector<float> base = hidden(nullptr);
  Adapter fresh(config, {.rank = 4,
                         .alpha = 8,
                         .rslora = true,
                         .targets = {true, true, true, true, true, true, true}});
  expect(std::fabs(fresh.config().scale() - 4) < 1e-6, "rslora scale is alpha / sqrt(r)");
  fresh.initialise(3);
  fresh.refresh(context);
  const std::vector<float> same = hidden(&fresh);
  expect_same_bits(same.data(), base.data(), int64_t(base.size()), "B is zero");
  const Parameter& a = fresh.layout().entries[0];
  const double bound = 1 / std::sqrt(double(config.hidden));
  double most = 0;
  for (int64_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::fabs(double(fresh.values()[i])));
  expect(most <= bound && most > 0.8 * bound, "A is uniform in +-1/sqrt(in)");

  const auto adapter = tiny_adapter(context, config, 4, 61);
  const auto copy = adapter->clone();
  const std::vector<float> want = hidden(adapter.get()), got = hidden(copy.get());
  expect_same_bits(got.data(), want.data(), int64_t(want.size()), "clone");
  std::fill_n(adapter->values(), adapter->layout().total, 0.0f);
  adapter->refresh(context);
  const std::vector<float> later = hidden(copy.get());
  expect_same_bits(later.data(), want.data(), int64_t(want.size()),
                   "clone after its original changed");
}

}  // namespace
}  // namespace reasonrec::test
