// The base model's weights: where each tensor lives and how it is packed.
//
// Frozen, a linear exists only as panels (plus transposed panels where a backward runs); the
// embedding table stays row-major because rows of it are read, and vectors (norms, biases) stay
// flat. Trainable, all of it lives in one flat master and the panels are copies that refresh()
// renews.
#include "model/weights.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>
#include <numbers>

#include "core/check.h"
#include "core/philox.h"
#include "core/safetensors.h"

namespace reasonrec {

namespace {

constexpr int64_t kMostRopePositions = 131072;

// What an entry of the layout is to the decoder.
enum class Role {
  kEmbedding,
  kLinear,
  kBias,
  kInputNorm,
  kPostNorm,
  kQNorm,
  kKNorm,
  kFinalNorm,
  kHead
};
struct Slot {
  Role role;
  int64_t layer = 0;
  Linear linear = kQ;
};

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t n : shape) out += (out.empty() ? "" : ", ") + std::to_string(n);
  return "[" + out + "]";
}

bool is_vector(Role r) { return r != Role::kEmbedding && r != Role::kLinear && r != Role::kHead; }

int64_t panel_floats(int panel, int64_t k, int64_t n) {
  return (n + panel - 1) / panel * panel * k;
}

// w (out, in) row-major from panels of (in, out).
void unpack(float* w, const Panels& panels, int panel, int64_t in, int64_t out) {
  for (int64_t o = 0; o < out; ++o) {
    const float* column = panels.data + o / panel * panels.panel_stride + o % panel;
    for (int64_t i = 0; i < in; ++i) w[o * in + i] = column[i * panel];
  }
}

}  // namespace

struct Model::Impl {
  ModelConfig config;
  int panel;
  ParameterLayout layout;
  std::vector<Slot> slots;  // parallel to layout.entries
  std::vector<LayerOffsets> offsets;
  std::vector<LayerWeights> layers;
  std::vector<Buffer> forward, backward;  // layers x kLinears, then the head
  Panels head, head_backward;
  Buffer embedding, vectors;  // empty once trainable: then both are in master
  Buffer master;
  const float* embedding_rows = nullptr;
  const float* final_norm = nullptr;
  Buffer cos, sin;
  int64_t rope_positions = 0;
  bool has_backward = false, trainable = false;

  Impl(const Context& context, const ModelConfig& c) : config(c), panel(context.kernels->panel) {
    validate(config);
    layers.resize(size_t(config.layers));
    offsets.resize(layers.size());
    forward.resize(size_t(config.layers * kLinears + 1));
    backward.resize(forward.size());
    build_layout();
    build_rope();
  }

  void build_layout();
  void build_rope();
  int64_t add(const std::string& name, int64_t rows, int64_t cols, Slot slot) {
    slots.push_back(slot);
    return layout.append(name, rows, cols, !is_vector(slot.role)).offset;
  }
  size_t index(const Slot& s) const {
    return s.role == Role::kHead ? forward.size() - 1 : size_t(s.layer * kLinears + s.linear);
  }
  void allocate_vectors();
  void point_vectors(const float* flat, bool compact);
  void pack_forward(const Context&, const Slot&, const float* w, int64_t out, int64_t in);
  void pack_backward(const Context&, const Slot&, const float* w, int64_t out, int64_t in);
  void store(const Context&, size_t entry, const float* values);
  void read(size_t entry, float* values) const;
  template <class Fill>
  void fill(const Context&, Fill values_of);
};

void Model::Impl::build_layout() {
  const ModelConfig& c = config;
  add("model.embed_tokens.weight", c.vocab, c.hidden, {Role::kEmbedding});
  for (int64_t l = 0; l < c.layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    LayerOffsets& at = offsets[size_t(l)];
    for (int i = 0; i < kLinears; ++i) {
      const Linear linear = Linear(i);
      const std::string name = layer + (i <= kO ? "self_attn." : "mlp.") + kLinearNames[i];
      LinearWeight& w = layers[size_t(l)].linear[i];
      w.in = linear_in(c, linear);
      w.out = linear_out(c, linear);
      at.weight[i] = add(name + ".weight", w.out, w.in, {Role::kLinear, l, linear});
      const bool biased = i < kO ? c.qkv_bias : i == kO ? c.o_bias : c.mlp_bias;
      at.bias[i] = biased ? add(name + ".bias", 1, w.out, {Role::kBias, l, linear}) : -1;
      if (i == kO && c.qk_norm) {
        at.q_norm = add(layer + "self_attn.q_norm.weight", 1, c.head_dim, {Role::kQNorm, l});
        at.k_norm = add(layer + "self_attn.k_norm.weight", 1, c.head_dim, {Role::kKNorm, l});
      }
    }
    at.input_norm = add(layer + "input_layernorm.weight", 1, c.hidden, {Role::kInputNorm, l});
    at.post_norm =
        add(layer + "post_attention_layernorm.weight", 1, c.hidden, {Role::kPostNorm, l});
  }
  add("model.norm.weight", 1, c.hidden, {Role::kFinalNorm});
  if (!c.tied_head) add("lm_head.weight", c.vocab, c.hidden, {Role::kHead});
}

void Model::Impl::build_rope() {
  rope_positions = std::min(config.max_position, kMostRopePositions);
  const std::vector<double> frequencies = rope_frequencies(config);
  const int64_t half = int64_t(frequencies.size());
  cos.resize(rope_positions * half);
  sin.resize(rope_positions * half);
  for (int64_t p = 0; p < rope_positions; ++p)
    for (int64_t j = 0; j < half; ++j) {
      const double angle =
          double(p) * frequencies[size_t(j)];  // rounded once, after the fp64 cosine
      cos[p * half + j] = float(std::cos(angle));
      sin[p * half + j] = float(std::sin(angle));
    }
}

void Model::Impl::allocate_vectors() {
  int64_t floats = 0;
  for (size_t e = 0; e < slots.size(); ++e)
    if (is_vector(slots[e].role)) floats += layout.entries[e].size();
  embedding.resize(config.vocab * config.hidden);
  vectors.resize(floats);
  embedding_rows = embedding.data();
  point_vectors(vectors.data(), true);
}

// compact: flat holds the vectors alone, in layout order; otherwise the whole layout.
void Model::Impl::point_vectors(const float* flat, bool compact) {
  int64_t next = 0;
  for (size_t e = 0; e < slots.size(); ++e) {
    const Slot& s = slots[e];
    if (!is_vector(s.role)) continue;
    const float* at = flat + (compact ? next : layout.entries[e].offset);
    next += layout.entries[e].size();
    LayerWeights& layer = layers[size_t(s.layer)];
    if (s.role == Role::kBias) layer.linear[s.linear].bias = at;
    if (s.role == Role::kInputNorm) layer.input_norm = at;
    if (s.role == Role::kPostNorm) layer.post_norm = at;
    if (s.role == Role::kQNorm) layer.q_norm = at;
    if (s.role == Role::kKNorm) layer.k_norm = at;
    if (s.role == Role::kFinalNorm) final_norm = at;
  }
}

void Model::Impl::pack_forward(const Context& context, const Slot& s, const float* w, int64_t out,
                               int64_t in) {
  Buffer& buffer = forward[index(s)];
  buffer.resize(panel_floats(panel, in, out));
  context.kernels->pack(context, buffer.data(), w, in, out, 1, in);
  (s.role == Role::kHead ? head : layers[size_t(s.layer)].linear[s.linear].forward) = {
      buffer.data(), in * panel};
}

void Model::Impl::pack_backward(const Context& context, const Slot& s, const float* w, int64_t out,
                                int64_t in) {
  Buffer& buffer = backward[index(s)];
  buffer.resize(panel_floats(panel, out, in));
  context.kernels->pack(context, buffer.data(), w, out, in, in, 1);
  (s.role == Role::kHead ? head_backward : layers[size_t(s.layer)].linear[s.linear].backward) = {
      buffer.data(), out * panel};
}

// Brings one tensor's row-major values to where the decoder reads them.
void Model::Impl::store(const Context& context, size_t entry, const float* values) {
  const Parameter& p = layout.entries[entry];
  Slot s = slots[entry];
  if (is_vector(s.role)) return;  // written in place
  if (s.role == Role::kEmbedding) {
    if (!config.tied_head) return;
    s.role = Role::kHead;
  }
  pack_forward(context, s, values, p.rows, p.cols);
  if (has_backward) pack_backward(context, s, values, p.rows, p.cols);
}

// The row-major values of one tensor.
void Model::Impl::read(size_t entry, float* values) const {
  const Parameter& p = layout.entries[entry];
  const Slot& s = slots[entry];
  const LayerWeights& layer = layers[size_t(s.layer)];
  const float* from = nullptr;
  switch (s.role) {
    case Role::kLinear:
      return unpack(values, layer.linear[s.linear].forward, panel, p.cols, p.rows);
    case Role::kHead:
      return unpack(values, head, panel, p.cols, p.rows);
    case Role::kEmbedding:
      from = embedding_rows;
      break;
    case Role::kBias:
      from = layer.linear[s.linear].bias;
      break;
    case Role::kInputNorm:
      from = layer.input_norm;
      break;
    case Role::kPostNorm:
      from = layer.post_norm;
      break;
    case Role::kQNorm:
      from = layer.q_norm;
      break;
    case Role::kKNorm:
      from = layer.k_norm;
      break;
    case Role::kFinalNorm:
      from = final_norm;
      break;
  }
  std::copy(from, from + p.size(), values);
}

// values_of(entry, out) writes a tensor's row-major values; every tensor of the layout is asked for
// once.
template <class Fill>
void Model::Impl::fill(const Context& context, Fill values_of) {
  allocate_vectors();
  Buffer weight;
  int64_t next = 0;  // in `vectors`
  for (size_t e = 0; e < slots.size(); ++e) {
    const Parameter& p = layout.entries[e];
    float* to = nullptr;
    if (is_vector(slots[e].role)) {
      to = vectors.data() + next;
      next += p.size();
    } else if (slots[e].role == Role::kEmbedding) {
      to = embedding.data();
    } else {
      weight.resize(p.size());
      to = weight.data();
    }
    values_of(e, to);
    store(context, e, to);
  }
}

// ---- construction
// ---------------------------------------------------------------------------------

Model::Model() = default;
Model::~Model() = default;

namespace {

// All tensors of the files by name.
std::map<std::string, const TensorView*> gather(
    const std::vector<std::unique_ptr<SafetensorsFile>>& files,
    const std::vector<std::string>& paths) {
  std::map<std::string, const TensorView*> out;
  for (size_t f = 0; f < files.size(); ++f)
    for (const auto& [name, view] : files[f]->tensors())
      check(out.emplace(name, &view).second, "RR_UNEXPECTED_TENSOR",
            name + " is stored in more than one weight file", "one", "again in " + paths[f],
            "remove the file that does not belong to the model");
  return out;
}

void check_finite(const float* values, const Parameter& p) {
  int64_t bad = 0;
  for (int64_t i = 0; i < p.size(); ++i) bad += !(std::fabs(values[i]) <= FLT_MAX);
  check(bad == 0, "RR_NON_FINITE_WEIGHTS", p.name + " holds values that are not finite",
        "finite weights", std::to_string(bad) + " NaN or infinite of " + std::to_string(p.size()),
        "export or download the model again");
}

}  // namespace

std::unique_ptr<Model> Model::load(const Context& context, const ModelConfig& config,
                                   const std::vector<std::string>& files, const Job& job) {
  std::unique_ptr<Model> model(new Model);
  model->impl_ = std::make_unique<Impl>(context, config);
  Impl& m = *model->impl_;
  std::vector<std::unique_ptr<SafetensorsFile>> mapped;
  for (const std::string& file : files) mapped.push_back(std::make_unique<SafetensorsFile>(file));
  std::map<std::string, const TensorView*> tensors = gather(mapped, files);

  std::vector<const TensorView*> views;
  for (const Parameter& p : m.layout.entries) {
    const std::vector<int64_t> shape =
        p.decay ? std::vector<int64_t>{p.rows, p.cols} : std::vector<int64_t>{p.cols};
    const auto found = tensors.find(p.name);
    check(found != tensors.end(), "RR_MISSING_TENSOR", "the weight files do not hold " + p.name,
          shape_text(shape), "nothing",
          "a shard is missing, or config.json belongs to another model");
    check(found->second->shape == shape, "RR_SHAPE_MISMATCH", "shape of " + p.name,
          shape_text(shape), shape_text(found->second->shape),
          "config.json belongs to another model");
    views.push_back(found->second);
    tensors.erase(found);
  }
  for (const auto& [name, view] : tensors) {
    const bool harmless = name.find("rotary_emb.inv_freq") != std::string::npos ||
                          (config.tied_head && name == "lm_head.weight");
    check(harmless, "RR_UNEXPECTED_TENSOR",
          "the weight files hold " + name + ", which a " + config.family + " decoder has not", "",
          shape_text(view->shape),
          "config.json belongs to another model, or its architecture is not supported");
  }
  job.total(int32_t(views.size()));
  m.fill(context, [&](size_t entry, float* out) {
    job.poll();
    views[entry]->to_float(out);
    check_finite(out, m.layout.entries[entry]);
    job.advance(1);
  });
  return model;
}

std::unique_ptr<Model> Model::random(const Context& context, const ModelConfig& config,
                                     uint64_t seed, float deviation) {
  std::unique_ptr<Model> model(new Model);
  model->impl_ = std::make_unique<Impl>(context, config);
  Impl& m = *model->impl_;
  m.fill(context, [&](size_t entry, float* out) {
    const int64_t n = m.layout.entries[entry].size();
    if (is_vector(m.slots[entry].role)) {
      std::fill_n(out, n, m.slots[entry].role == Role::kBias ? 0.0f : 1.0f);
      return;
    }
    for (int64_t i = 0; i < n; i += 2) {  // Box-Muller: two normals from two uniforms
      const double radius = std::sqrt(-2 * std::log(philox_uniform(seed, entry, uint64_t(i))));
      const double angle = 2 * std::numbers::pi * philox_uniform(seed, entry, uint64_t(i) + 1);
      out[i] = float(deviation * radius * std::cos(angle));
      if (i + 1 < n) out[i + 1] = float(deviation * radius * std::sin(angle));
    }
  });
  return model;
}

// ---- access
// ---------------------------------------------------------------------------------------

const ModelConfig& Model::config() const { return impl_->config; }
const LayerWeights& Model::layer(int64_t l) const { return impl_->layers[size_t(l)]; }
const float* Model::embedding() const { return impl_->embedding_rows; }
const float* Model::final_norm() const { return impl_->final_norm; }
Panels Model::head() const { return impl_->head; }
Panels Model::head_backward() const { return impl_->head_backward; }
const float* Model::rope_cos() const { return impl_->cos.data(); }
const float* Model::rope_sin() const { return impl_->sin.data(); }
int64_t Model::rope_positions() const { return impl_->rope_positions; }
bool Model::trainable() const { return impl_->trainable; }
const ParameterLayout& Model::layout() const { return impl_->layout; }
const LayerOffsets& Model::offsets(int64_t l) const { return impl_->offsets[size_t(l)]; }
float* Model::values() { return impl_->trainable ? impl_->master.data() : nullptr; }
const char* Model::head_name() const {
  return impl_->config.tied_head ? "model.embed_tokens.weight" : "lm_head.weight";
}

// ---- training
// -------------------------------------------------------------------------------------

void Model::prepare_backward(const Context& context) {
  Impl& m = *impl_;
  if (m.has_backward) return;
  Buffer weight;
  for (size_t e = 0; e < m.slots.size(); ++e) {
    const Parameter& p = m.layout.entries[e];
    Slot s = m.slots[e];
    if (is_vector(s.role) || (s.role == Role::kEmbedding && !m.config.tied_head)) continue;
    const float* w = m.embedding_rows;
    if (s.role == Role::kEmbedding) {
      s.role = Role::kHead;
    } else {
      weight.resize(p.size());
      m.read(e, weight.data());
      w = weight.data();
    }
    m.pack_backward(context, s, w, p.rows, p.cols);
  }
  m.has_backward = true;
}

void Model::make_trainable(const Context&) {
  Impl& m = *impl_;
  if (m.trainable) return;
  m.master.resize(m.layout.total);
  for (size_t e = 0; e < m.slots.size(); ++e)
    m.read(e, m.master.data() + m.layout.entries[e].offset);
  m.embedding_rows = m.master.data() + m.layout.entries[0].offset;
  m.point_vectors(m.master.data(), false);
  m.embedding = Buffer();
  m.vectors = Buffer();
  m.trainable = true;
}

void Model::refresh(const Context& context) {
  Impl& m = *impl_;
  check(m.trainable, "RR_NOT_TRAINABLE", "the model's weights are frozen",
        "make_trainable() before refresh()");
  for (size_t e = 0; e < m.slots.size(); ++e)
    m.store(context, e, m.master.data() + m.layout.entries[e].offset);
}

void Model::save(const std::string& file) const {
  const Impl& m = *impl_;
  Buffer copy;
  const float* flat = m.master.data();
  if (!m.trainable) {
    copy.resize(m.layout.total);
    for (size_t e = 0; e < m.slots.size(); ++e) m.read(e, copy.data() + m.layout.entries[e].offset);
    flat = copy.data();
  }
  std::vector<TensorToWrite> tensors;
  for (const Parameter& p : m.layout.entries)
    tensors.push_back(
        {p.name, p.decay ? std::vector<int64_t>{p.rows, p.cols} : std::vector<int64_t>{p.cols},
         flat + p.offset});
  write_safetensors(file, tensors, {{"format", "pt"}});
}

}  // namespace reasonrec
