// An adapter's master values and its panels. The scale s is folded into A when panels are packed
// (once per update), so the kernels see u = x (sA)^T, y += u B^T and no scalar.
#include "model/lora.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "core/check.h"
#include "core/philox.h"
#include "core/safetensors.h"
#include "model/panel_store.h"

namespace reasonrec {

namespace {

std::string tensor_name(int64_t layer, Linear linear, const char* which) {
  return "base_model.model.model.layers." + std::to_string(layer) +
         (linear <= kO ? ".self_attn." : ".mlp.") + kLinearNames[linear] + "." + which + ".weight";
}

std::string shape_text(int64_t rows, int64_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

void validate(const ModelConfig& model, const LoraConfig& c) {
  const auto require = [](bool ok, const char* what, const std::string& expected,
                          const std::string& got) {
    check(ok, "RR_BAD_ADAPTER", what, expected, got, "check the adapter's configuration");
  };
  require(c.rank >= 1 && c.rank <= 4096, "rank of the adapter", "1 to 4096",
          std::to_string(c.rank));
  require(std::isfinite(c.alpha) && c.alpha > 0, "alpha of the adapter", "more than 0",
          std::to_string(c.alpha));
  require(c.dropout >= 0 && c.dropout < 1, "dropout of the adapter", "0 to below 1",
          std::to_string(c.dropout));
  bool any = false;
  for (const bool target : c.targets) any |= target;
  require(any, "linears the adapter is on", "at least one of the seven", "none");
  std::vector<bool> seen(size_t(model.layers * kLinears));
  for (const LoraModule& m : c.modules) {
    require(m.layer >= 0 && m.layer < model.layers, "layer of an adapted module",
            "0 to " + std::to_string(model.layers - 1), std::to_string(m.layer));
    require(m.rank >= 1 && m.rank <= 4096, "rank of an adapted module", "1 to 4096",
            std::to_string(m.rank));
    require(std::isfinite(m.alpha) && m.alpha > 0, "alpha of an adapted module", "more than 0",
            std::to_string(m.alpha));
    const size_t at = size_t(m.layer * kLinears + m.linear);
    require(!seen[at], "an adapted module", "each at most once",
            tensor_name(m.layer, m.linear, ""));
    seen[at] = true;
  }
}

float scale_of(float alpha, int rank, bool rslora) {
  return alpha / (rslora ? std::sqrt(float(rank)) : float(rank));
}

// What the adapter is on, layer by layer.
std::vector<LoraModule> modules_of(const ModelConfig& model, const LoraConfig& lora) {
  std::vector<LoraModule> modules = lora.modules;
  if (modules.empty())
    for (int64_t l = 0; l < model.layers; ++l)
      for (int i = 0; i < kLinears; ++i)
        if (lora.targets[size_t(i)]) modules.push_back({l, Linear(i), lora.rank, lora.alpha});
  std::sort(modules.begin(), modules.end(), [](const LoraModule& a, const LoraModule& b) {
    return std::pair(a.layer, a.linear) < std::pair(b.layer, b.linear);
  });
  return modules;
}

// Offsets of its A (r, in) and B (out, r).
std::pair<int64_t, int64_t> append_pair(ParameterLayout& layout, const ModelConfig& model,
                                        const LoraModule& m) {
  const int64_t in = linear_in(model, m.linear), out = linear_out(model, m.linear);
  const int64_t a =
      layout.append(tensor_name(m.layer, m.linear, "lora_A"), m.rank, in, true).offset;
  const int64_t b =
      layout.append(tensor_name(m.layer, m.linear, "lora_B"), out, m.rank, true).offset;
  return {a, b};
}

}  // namespace

float LoraConfig::scale() const { return scale_of(alpha, rank, rslora); }

struct Adapter::Impl {
  struct Pair {
    int64_t a = -1, b = -1;  // offsets into values
    int rank = 0;
    float scale = 0;
    Buffer storage;  // the four packings, one after the other
    LoraPanels panels;
  };
  ModelConfig model;
  LoraConfig lora;
  ParameterLayout layout;
  Buffer values;
  std::vector<Pair> pairs;  // layers x kLinears
  bool ready = false;

  const Pair& pair(int64_t layer, Linear linear) const {
    return pairs[size_t(layer * kLinears + linear)];
  }
  void pack(const Context&, Pair&, Linear);
};

Adapter::Adapter(const ModelConfig& model, const LoraConfig& lora)
    : impl_(std::make_shared<Impl>()) {
  validate(model, lora);
  Impl& m = *impl_;
  m.model = model;
  m.lora = lora;
  m.pairs.resize(size_t(model.layers * kLinears));
  for (const LoraModule& module : modules_of(model, lora)) {
    Impl::Pair& pair = m.pairs[size_t(module.layer * kLinears + module.linear)];
    pair.rank = module.rank;
    pair.scale = scale_of(module.alpha, module.rank, lora.rslora);
    std::tie(pair.a, pair.b) = append_pair(m.layout, model, module);
  }
  m.values.resize(m.layout.total);
}

void Adapter::initialise(uint64_t seed) {
  Impl& m = *impl_;
  for (size_t tensor = 0; tensor < m.layout.entries.size(); ++tensor) {
    const Parameter& p = m.layout.entries[tensor];
    float* out = m.values.data() + p.offset;
    const bool is_a = tensor % 2 == 0;  // the layout alternates A, B
    const double bound = 1 / std::sqrt(double(p.cols));
    for (int64_t i = 0; i < p.size(); ++i)
      out[i] = is_a ? float(bound * (2 * philox_uniform(seed, tensor, uint64_t(i)) - 1)) : 0.0f;
  }
  m.ready = false;
}

const LoraConfig& Adapter::config() const { return impl_->lora; }
bool Adapter::fits(const ModelConfig& c) const {
  bool same = c.layers == impl_->model.layers;
  for (int i = 0; i < kLinears; ++i)
    same = same && linear_in(c, Linear(i)) == linear_in(impl_->model, Linear(i)) &&
           linear_out(c, Linear(i)) == linear_out(impl_->model, Linear(i));
  return same;
}
const ParameterLayout& Adapter::layout() const { return impl_->layout; }
float* Adapter::values() { return impl_->values.data(); }
const float* Adapter::values() const { return impl_->values.data(); }
int64_t Adapter::offset_a(int64_t layer, Linear linear) const {
  return impl_->pair(layer, linear).a;
}
int64_t Adapter::offset_b(int64_t layer, Linear linear) const {
  return impl_->pair(layer, linear).b;
}

int Adapter::rank(int64_t layer, Linear linear) const { return impl_->pair(layer, linear).rank; }
float Adapter::scale(int64_t layer, Linear linear) const {
  return impl_->pair(layer, linear).scale;
}

const LoraPanels& Adapter::panels(int64_t layer, Linear linear) const {
  check(impl_->ready, "RR_ADAPTER_NOT_READY", "the adapter's panels are not packed",
        "refresh() after values changed");
  return impl_->pair(layer, linear).panels;
}

void Adapter::Impl::pack(const Context& context, Pair& pair, Linear linear) {
  const int64_t in = linear_in(model, linear), out = linear_out(model, linear), r = pair.rank;
  const int width = context.kernels->panel;
  const bool half = model.compute == Compute::kBF16;
  const WeightType type = half ? WeightType::kBF16 : WeightType::kF32;
  const auto floats = [&](int64_t k, int64_t n) {
    const int64_t values = PanelStore::values(type, width, k, n);
    return ((half ? (values + 1) / 2 : values) + 15) / 16 * 16;
  };
  pair.storage.resize(floats(in, r) + floats(r, out) + floats(r, in) + floats(out, r));
  float* next = pair.storage.data();
  const auto place = [&](const float* b, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride) {
    float* at = next;
    next += floats(k, n);
    const int64_t stride = PanelStore::values(type, width, k, 1);
    auto* pairs = reinterpret_cast<uint16_t*>(at);
    if (half)
      context.kernels->pack_bf16(context, pairs, b, k, n, k_stride, n_stride);
    else
      context.kernels->pack(context, at, b, k, n, k_stride, n_stride);
    return half ? Panels{nullptr, stride, pairs, nullptr, 0, model.compute} : Panels{at, stride};
  };

  std::vector<float> scaled(values.data() + pair.a, values.data() + pair.a + r * in);  // sA (r, in)
  for (float& v : scaled) v *= pair.scale;
  const float* b = values.data() + pair.b;  // (out, r)
  pair.panels.rank = pair.rank;
  pair.panels.a = place(scaled.data(), in, r, 1, in);
  pair.panels.b = place(b, r, out, 1, r);
  pair.panels.a_t = place(scaled.data(), r, in, in, 1);
  pair.panels.b_t = place(b, out, r, r, 1);
}

void Adapter::refresh(const Context& context) {
  Impl& m = *impl_;
  for (size_t i = 0; i < m.pairs.size(); ++i)
    if (m.pairs[i].a >= 0) m.pack(context, m.pairs[i], Linear(i % kLinears));
  m.ready = true;
}

std::unique_ptr<Adapter> Adapter::clone() const {
  auto out = std::make_unique<Adapter>(impl_->model, impl_->lora);
  Impl& to = *out->impl_;
  const Impl& from = *impl_;
  std::memcpy(to.values.data(), from.values.data(), size_t(from.layout.total) * sizeof(float));
  for (size_t i = 0; i < from.pairs.size() && from.ready; ++i) {
    const Impl::Pair& source = from.pairs[i];
    if (source.a < 0) continue;
    Impl::Pair& pair = to.pairs[i];
    pair.storage.resize(source.storage.size());
    std::memcpy(pair.storage.data(), source.storage.data(),
                size_t(source.storage.size()) * sizeof(float));
    pair.panels = source.panels;
    const auto* begin = reinterpret_cast<const char*>(source.storage.data());
    const auto* copy = reinterpret_cast<const char*>(pair.storage.data());
    const auto follow = [&](const void* p) {
      return p ? copy + (static_cast<const char*>(p) - begin) : nullptr;
    };
    for (Panels* p : {&pair.panels.a, &pair.panels.b, &pair.panels.a_t, &pair.panels.b_t}) {
      p->data = reinterpret_cast<const float*>(follow(p->data));
      p->bf16 = reinterpret_cast<const uint16_t*>(follow(p->bf16));
    }
  }
  to.ready = from.ready;
  return out;
}

namespace {

LoraConfig joined_config(const ModelConfig& model, const Adapter& first, const Adapter& second) {
  LoraConfig lora;
  lora.rank = first.config().rank + second.config().rank;
  lora.alpha = float(lora.rank);
  for (size_t i = 0; i < kLinears; ++i)
    lora.targets[i] = first.config().targets[i] || second.config().targets[i];
  if (first.config().modules.empty() && second.config().modules.empty()) return lora;
  for (int64_t l = 0; l < model.layers; ++l)
    for (int i = 0; i < kLinears; ++i) {
      const int rank = first.rank(l, Linear(i)) + second.rank(l, Linear(i));
      if (rank > 0) lora.modules.push_back({l, Linear(i), rank, float(rank)});
    }
  return lora;
}

// part's A into rows [row, row + r) and s B into columns [row, row + r) of the joined adapter.
void place_part(Adapter& out, const ModelConfig& model, const Adapter& part, int64_t layer,
                Linear linear, int64_t row) {
  const int64_t r = part.rank(layer, linear), total = out.rank(layer, linear);
  const int64_t in = linear_in(model, linear), outputs = linear_out(model, linear);
  std::memcpy(out.values() + out.offset_a(layer, linear) + row * in,
              part.values() + part.offset_a(layer, linear), size_t(r * in) * sizeof(float));
  const float s = part.scale(layer, linear);
  const float* b = part.values() + part.offset_b(layer, linear);
  float* to = out.values() + out.offset_b(layer, linear) + row;
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t k = 0; k < r; ++k) to[o * total + k] = s * b[o * r + k];
}

}  // namespace

std::unique_ptr<Adapter> Adapter::concatenate(const ModelConfig& model, const Adapter& first,
                                              const Adapter& second) {
  for (const Adapter* part : {&first, &second})
    check(part->fits(model), "RR_SHAPE_MISMATCH",
          "an adapter made for another model cannot be concatenated",
          model.family + " of the base's widths", "other layers or widths");
  auto out = std::make_unique<Adapter>(model, joined_config(model, first, second));
  for (int64_t l = 0; l < model.layers; ++l)
    for (int i = 0; i < kLinears; ++i) {
      const Linear linear = Linear(i);
      int64_t row = 0;  // of A, column of B
      for (const Adapter* part : {&first, &second}) {
        const int64_t r = part->rank(l, linear);
        if (r > 0) place_part(*out, model, *part, l, linear, row);
        // Without lists of modules every linear keeps room for both, zero where one is absent.
        row += out->config().modules.empty() ? part->config().rank : r;
      }
    }
  return out;
}

namespace {

// The file holds exactly the layout's tensors, in its shapes.
void check_tensors(const SafetensorsFile& file, const ParameterLayout& layout,
                   const std::string& path) {
  constexpr const char* kOther =
      "adapter_config.json belongs to another adapter or another base model";
  std::set<std::string> known;
  for (const Parameter& p : layout.entries) {
    const auto found = file.tensors().find(p.name);
    check(found != file.tensors().end(), "RR_MISSING_TENSOR", path + " does not hold " + p.name,
          shape_text(p.rows, p.cols), "nothing", kOther);
    const TensorView& view = found->second;
    std::string got;
    for (const int64_t n : view.shape) got += (got.empty() ? "" : ", ") + std::to_string(n);
    check(view.shape == std::vector<int64_t>{p.rows, p.cols}, "RR_SHAPE_MISMATCH",
          "shape of " + p.name, shape_text(p.rows, p.cols), "[" + got + "]", kOther);
    known.insert(p.name);
  }
  for (const auto& [name, view] : file.tensors())
    check(known.count(name) > 0, "RR_UNEXPECTED_TENSOR",
          path + " holds " + name.substr(0, 200) + ", which this adapter has not", "", "",
          "only plain LoRA on the seven linears of a layer is supported; see target_modules in "
          "adapter_config.json");
}

void fill_values(Adapter& adapter, const SafetensorsFile& file) {
  for (const Parameter& p : adapter.layout().entries) {
    float* out = adapter.values() + p.offset;
    file.tensors().at(p.name).to_float(out);
    for (int64_t i = 0; i < p.size(); ++i)
      check(std::fabs(out[i]) <= FLT_MAX, "RR_NON_FINITE_WEIGHTS",
            p.name + " holds values that are not finite", "finite weights", "NaN or infinity",
            "export the adapter again");
  }
}

}  // namespace

void load_adapter_values(Adapter& adapter, const std::string& path) {
  const SafetensorsFile file(path);
  check_tensors(file, adapter.layout(), path);
  fill_values(adapter, file);
}

std::unique_ptr<Adapter> load_adapter(const ModelConfig& model, const LoraConfig& lora,
                                      const std::string& path) {
  const SafetensorsFile file(path);
  validate(model, lora);
  ParameterLayout layout;
  for (const LoraModule& module : modules_of(model, lora)) append_pair(layout, model, module);
  check_tensors(file, layout, path);
  auto adapter = std::make_unique<Adapter>(model, lora);
  fill_values(*adapter, file);
  return adapter;
}

void save_adapter(const Adapter& adapter, const std::string& path,
                  const std::map<std::string, std::string>& metadata) {
  std::map<std::string, std::string> with_format = metadata;
  with_format.emplace("format", "pt");  // what PEFT and transformers look for
  std::vector<TensorToWrite> tensors;
  for (const Parameter& p : adapter.layout().entries)
    tensors.push_back({p.name, {p.rows, p.cols}, adapter.values() + p.offset});
  write_safetensors(path, tensors, with_format);
}

}  // namespace reasonrec
