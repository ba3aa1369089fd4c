// An adapter's master values and its panels. The scale s is folded into A when panels are packed
// (once per update), so the kernels see u = x (sA)^T, y += u B^T and no scalar.
#include "model/lora.h"

#include <cfloat>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "core/philox.h"
#include "core/safetensors.h"

namespace reasonrec {

namespace {

std::string tensor_name(int64_t layer, Linear linear, const char* which) {
  return "base_model.model.model.layers." + std::to_string(layer) +
         (linear <= kO ? ".self_attn." : ".mlp.") + kLinearNames[linear] + "." + which + ".weight";
}

std::string shape_text(int64_t rows, int64_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

void validate(const LoraConfig& c) {
  const auto require = [](bool ok, const char* what, const char* expected, const std::string& got) {
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
}

}  // namespace

float LoraConfig::scale() const { return alpha / (rslora ? std::sqrt(float(rank)) : float(rank)); }

struct Adapter::Impl {
  struct Pair {
    int64_t a = -1, b = -1;  // offsets into values
    Buffer storage;          // the four packings, one after the other
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
  validate(lora);
  Impl& m = *impl_;
  m.model = model;
  m.lora = lora;
  m.pairs.resize(size_t(model.layers * kLinears));
  for (int64_t l = 0; l < model.layers; ++l)
    for (int i = 0; i < kLinears; ++i) {
      if (!lora.targets[size_t(i)]) continue;
      const Linear linear = Linear(i);
      Impl::Pair& pair = m.pairs[size_t(l * kLinears + i)];
      pair.a =
          m.layout
              .append(tensor_name(l, linear, "lora_A"), lora.rank, linear_in(model, linear), true)
              .offset;
      pair.b =
          m.layout
              .append(tensor_name(l, linear, "lora_B"), linear_out(model, linear), lora.rank, true)
              .offset;
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

const LoraPanels& Adapter::panels(int64_t layer, Linear linear) const {
  check(impl_->ready, "RR_ADAPTER_NOT_READY", "the adapter's panels are not packed",
        "refresh() after values changed");
  return impl_->pair(layer, linear).panels;
}

void Adapter::Impl::pack(const Context& context, Pair& pair, Linear linear) {
  const int64_t in = linear_in(model, linear), out = linear_out(model, linear), r = lora.rank;
  const int64_t width = context.kernels->panel;
  const auto floats = [&](int64_t k, int64_t n) {
    return ((n + width - 1) / width * width * k + 15) / 16 * 16;
  };
  pair.storage.resize(floats(in, r) + floats(r, out) + floats(r, in) + floats(out, r));
  float* next = pair.storage.data();
  const auto place = [&](const float* b, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride) {
    float* panels = next;
    context.kernels->pack(context, panels, b, k, n, k_stride, n_stride);
    next += floats(k, n);
    return Panels{panels, k * width};
  };

  std::vector<float> scaled(values.data() + pair.a, values.data() + pair.a + r * in);  // sA (r, in)
  for (float& v : scaled) v *= lora.scale();
  const float* b = values.data() + pair.b;  // (out, r)
  pair.panels.rank = lora.rank;
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
    for (Panels* p : {&pair.panels.a, &pair.panels.b, &pair.panels.a_t, &pair.panels.b_t})
      p->data = pair.storage.data() + (p->data - source.storage.data());
  }
  to.ready = from.ready;
  return out;
}

std::unique_ptr<Adapter> Adapter::concatenate(const ModelConfig& model, const Adapter& first,
                                              const Adapter& second) {
  for (const Adapter* part : {&first, &second})
    check(part->fits(model), "RR_SHAPE_MISMATCH",
          "an adapter made for another model cannot be concatenated",
          model.family + " of the base's widths", "other layers or widths");
  LoraConfig lora;
  lora.rank = first.config().rank + second.config().rank;
  lora.alpha = float(lora.rank);
  for (size_t i = 0; i < kLinears; ++i)
    lora.targets[i] = first.config().targets[i] || second.config().targets[i];
  auto out = std::make_unique<Adapter>(model, lora);
  int64_t row = 0;  // of A, column of B
  for (const Adapter* part : {&first, &second}) {
    const int64_t r = part->config().rank;
    const float s = part->config().scale();
    for (int64_t l = 0; l < model.layers; ++l)
      for (int i = 0; i < kLinears; ++i) {
        const Linear linear = Linear(i);
        if (part->offset_a(l, linear) < 0) continue;
        const int64_t in = linear_in(model, linear), outputs = linear_out(model, linear);
        std::memcpy(out->values() + out->offset_a(l, linear) + row * in,
                    part->values() + part->offset_a(l, linear), size_t(r * in) * sizeof(float));
        const float* b = part->values() + part->offset_b(l, linear);
        float* to = out->values() + out->offset_b(l, linear) + row;
        for (int64_t o = 0; o < outputs; ++o)
          for (int64_t k = 0; k < r; ++k) to[o * lora.rank + k] = s * b[o * r + k];
      }
    row += r;
  }
  return out;
}

void load_adapter_values(Adapter& adapter, const std::string& path) {
  const SafetensorsFile file(path);
  for (const Parameter& p : adapter.layout().entries) {
    const auto found = file.tensors().find(p.name);
    check(found != file.tensors().end(), "RR_MISSING_TENSOR", path + " does not hold " + p.name,
          shape_text(p.rows, p.cols), "nothing",
          "adapter_config.json belongs to another adapter or another base model");
    const TensorView& view = found->second;
    std::string got;
    for (const int64_t n : view.shape) got += (got.empty() ? "" : ", ") + std::to_string(n);
    check(view.shape == std::vector<int64_t>{p.rows, p.cols}, "RR_SHAPE_MISMATCH",
          "shape of " + p.name, shape_text(p.rows, p.cols), "[" + got + "]",
          "adapter_config.json belongs to another adapter or another base model");
  }
  for (const auto& [name, view] : file.tensors()) {
    bool known = false;
    for (const Parameter& p : adapter.layout().entries) known |= p.name == name;
    check(known, "RR_UNEXPECTED_TENSOR", path + " holds " + name + ", which this adapter has not",
          "", "",
          "only plain LoRA on the seven linears of a layer is supported; see target_modules in "
          "adapter_config.json");
  }
  for (const Parameter& p : adapter.layout().entries) {
    float* out = adapter.values() + p.offset;
    file.tensors().at(p.name).to_float(out);
    for (int64_t i = 0; i < p.size(); ++i)
      check(std::fabs(out[i]) <= FLT_MAX, "RR_NON_FINITE_WEIGHTS",
            p.name + " holds values that are not finite", "finite weights", "NaN or infinity",
            "export the adapter again");
  }
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
