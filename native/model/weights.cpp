// The base model's weights: where each tensor lives and how it is packed; see weights_impl.h.
#include "model/weights.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/bfloat16.h"
#include "core/check.h"
#include "core/safetensors.h"
#include "model/weights_impl.h"

namespace reasonrec {

namespace {
constexpr int64_t kMostRopePositions = 131072;
}  // namespace

Model::Impl::Impl(const ModelConfig& c) : config(c) {
  validate(config);
  layers.resize(size_t(config.layers));
  offsets.resize(layers.size());
  build_layout();
}

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
      forward.add(w.in, w.out);
      backward.add(w.out, w.in);
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
  forward.add(c.hidden, c.vocab);
  backward.add(c.vocab, c.hidden);
}

// Angles of a few thousand positions at first: 131,072 of them would take longer than a short
// prompt.
void Model::Impl::extend_rope(const Context& context, int64_t positions) {
  if (positions <= rope_positions) return;
  const int64_t most = std::min(config.max_position, kMostRopePositions);
  rope_positions = std::min(most, std::max<int64_t>(2048, std::bit_ceil(uint64_t(positions))));
  const std::vector<double> frequencies = rope_frequencies(config);
  const double length = config.rope_scaling.attention_factor;
  const int64_t half = int64_t(frequencies.size()), at_once = 256;
  cos.resize(rope_positions * half, false);
  sin.resize(rope_positions * half, false);
  for_each_task(context, (rope_positions + at_once - 1) / at_once, [&](int64_t task, int) {
    const int64_t end = std::min(rope_positions, (task + 1) * at_once);
    for (int64_t p = task * at_once; p < end; ++p)
      for (int64_t j = 0; j < half; ++j) {
        const double angle = double(p) * frequencies[size_t(j)];
        cos[p * half + j] = float(length * std::cos(angle));  // rounded once, after the fp64 cosine
        sin[p * half + j] = float(length * std::sin(angle));
      }
  });
}

void Model::Impl::allocate_vectors() {
  int64_t floats = 0;
  for (size_t e = 0; e < slots.size(); ++e)
    if (is_vector(slots[e].role)) floats += layout.entries[e].size();
  vectors.resize(floats);
  point_vectors(vectors.data(), true);
}

void Model::Impl::allocate(const Context& context) {
  forward.allocate(*context.kernels, type, config.compute);
  bind_panels();
  if (config.tied_head) {
    embedding = {nullptr, nullptr, head};
    return;
  }
  rows.resize(table_floats(), false);
  embedding = {};
  if (type == WeightType::kBF16)
    embedding.bf16 = reinterpret_cast<const uint16_t*>(rows.data());
  else
    embedding.data = rows.data();
}

void Model::Impl::bind_panels() {
  for (int64_t l = 0; l < config.layers; ++l)
    for (int i = 0; i < kLinears; ++i) {
      LinearWeight& w = layers[size_t(l)].linear[i];
      w.forward = forward.at(size_t(l * kLinears + i));
      w.backward = backward.at(size_t(l * kLinears + i));
    }
  head = forward.at(size_t(config.layers * kLinears));
  head_backward = backward.at(size_t(config.layers * kLinears));
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

const float* Model::Impl::vector_of(const Slot& s) const {
  const LayerWeights& layer = layers[size_t(s.layer)];
  switch (s.role) {
    case Role::kBias:
      return layer.linear[s.linear].bias;
    case Role::kInputNorm:
      return layer.input_norm;
    case Role::kPostNorm:
      return layer.post_norm;
    case Role::kQNorm:
      return layer.q_norm;
    case Role::kKNorm:
      return layer.k_norm;
    default:
      return final_norm;
  }
}

// Brings one matrix's row-major values to where the decoder reads them; a vector is written in
// place, and an untied table is either the master itself or written as rows.
void Model::Impl::store(const Context& context, size_t entry, const float* values) {
  const Parameter& p = layout.entries[entry];
  if (packed(entry)) {
    const size_t index = panel_index(slots[entry]);
    forward.pack(context, index, values, 1, p.cols);
    if (backward.allocated()) backward.pack(context, index, values, p.cols, 1);
  } else if (slots[entry].role == Role::kEmbedding && !trainable) {
    if (type == WeightType::kBF16)
      std::transform(values, values + p.size(), reinterpret_cast<uint16_t*>(rows.data()),
                     to_bfloat16);
    else
      std::copy(values, values + p.size(), rows.data());
  }
}

// The row-major values of one tensor.
void Model::Impl::read(const Context& context, size_t entry, float* values) const {
  const Parameter& p = layout.entries[entry];
  if (packed(entry)) return forward.unpack(context, panel_index(slots[entry]), values);
  if (slots[entry].role != Role::kEmbedding) {
    const float* from = vector_of(slots[entry]);
    std::copy(from, from + p.size(), values);
  } else if (embedding.bf16) {
    std::transform(embedding.bf16, embedding.bf16 + p.size(), values, from_bfloat16);
  } else {
    std::copy(embedding.data, embedding.data + p.size(), values);
  }
}

// ---- access
// ---------------------------------------------------------------------------------------

Model::Model() = default;
Model::~Model() = default;
const ModelConfig& Model::config() const { return impl_->config; }
WeightType Model::type() const { return impl_->type; }
const LayerWeights& Model::layer(int64_t l) const { return impl_->layers[size_t(l)]; }
const Table& Model::embedding() const { return impl_->embedding; }
const float* Model::final_norm() const { return impl_->final_norm; }
Panels Model::head() const { return impl_->head; }
Panels Model::head_backward() const { return impl_->head_backward; }
const float* Model::rope_cos() const { return impl_->cos.data(); }
const float* Model::rope_sin() const { return impl_->sin.data(); }
int64_t Model::most_positions() const {
  return std::min(impl_->config.max_position, kMostRopePositions);
}
bool Model::trainable() const { return impl_->trainable; }
const ParameterLayout& Model::layout() const { return impl_->layout; }
const LayerOffsets& Model::offsets(int64_t l) const { return impl_->offsets[size_t(l)]; }
float* Model::values() { return impl_->trainable ? impl_->master.data() : nullptr; }
const char* Model::head_name() const {
  return impl_->config.tied_head ? "model.embed_tokens.weight" : "lm_head.weight";
}
int64_t Model::bytes() const {
  const Impl& m = *impl_;
  int64_t floats = m.vectors.size() + m.master.size() + m.cos.size() + m.sin.size();
  floats += m.borrowed && !m.config.tied_head ? m.table_floats() : m.rows.size();
  return m.forward.bytes(m.type) + m.backward.bytes(m.type) + floats * int64_t(sizeof(float));
}

void Model::prepare_forward(const Context& context, int64_t positions) const {
  Impl& m = *impl_;
  m.extend_rope(context, positions);
  if (m.used) m.pack_borrowed(context);
  m.used = true;
}

// ---- training
// -------------------------------------------------------------------------------------

void Model::prepare_backward(const Context& context) {
  Impl& m = *impl_;
  if (m.backward.allocated()) return;
  m.pack_borrowed(context);
  m.backward.allocate(*context.kernels, m.type, m.config.compute);
  m.bind_panels();
  Buffer weight;
  for (size_t e = 0; e < m.slots.size(); ++e) {
    if (!m.packed(e)) continue;
    const Parameter& p = m.layout.entries[e];
    const float* w = m.trainable ? m.master.data() + p.offset : nullptr;
    if (!w) {
      weight.resize(p.size(), false);
      m.read(context, e, weight.data());
      w = weight.data();
    }
    m.backward.pack(context, m.panel_index(m.slots[e]), w, p.cols, 1);
  }
}

void Model::make_trainable(const Context& context) {
  Impl& m = *impl_;
  if (m.trainable) return;
  m.pack_borrowed(context);
  m.master.resize(m.layout.total);
  for (size_t e = 0; e < m.slots.size(); ++e)
    m.read(context, e, m.master.data() + m.layout.entries[e].offset);
  m.embedding = {m.master.data() + m.layout.entries[0].offset, nullptr, {}};
  m.point_vectors(m.master.data(), false);
  m.rows = Buffer();
  m.vectors = Buffer();
  m.trainable = true;
  // An update smaller than bf16's spacing must not vanish: it is kept in the master. Products in
  // fp32 see it at once; products in bf16 see its rounding, whatever the panels hold.
  if (m.type == WeightType::kF32 || m.config.compute == Compute::kBF16) return;
  m.type = WeightType::kF32;
  m.forward.allocate(*context.kernels, m.type);
  if (m.backward.allocated()) m.backward.allocate(*context.kernels, m.type);
  m.bind_panels();
  refresh(context);
}

void Model::refresh(const Context& context) {
  Impl& m = *impl_;
  check(m.trainable, "RR_NOT_TRAINABLE", "the model's weights are frozen",
        "make_trainable() before refresh()");
  for (size_t e = 0; e < m.slots.size(); ++e)
    m.store(context, e, m.master.data() + m.layout.entries[e].offset);
}

void Model::save(const Context& context, const std::string& file) const {
  Impl& m = *impl_;
  m.pack_borrowed(context);
  Buffer copy;
  const float* flat = m.master.data();
  if (!m.trainable) {
    copy.resize(m.layout.total, false);
    for (size_t e = 0; e < m.slots.size(); ++e)
      m.read(context, e, copy.data() + m.layout.entries[e].offset);
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
