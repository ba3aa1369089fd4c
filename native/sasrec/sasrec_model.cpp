// See sasrec_model.h.
#include "sasrec/sasrec_model.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/check.h"
#include "core/philox.h"

namespace reasonrec {

AttentionShape SasrecShape::attention() const {
  const int head = int(width) / heads;
  return {heads, heads, head, float(1 / std::sqrt(double(head)))};
}

void validate(const SasrecShape& s) {
  check(s.items >= 1 && s.positions >= 1 && s.width >= 1 && s.blocks >= 1 && s.heads >= 1,
        "RR_BAD_MODEL", "SASRec needs items, positions, a width, blocks and heads",
        "at least 1 each", "0 or fewer of one of them");
  check(s.width % s.heads == 0, "RR_BAD_MODEL", "heads do not divide the width",
        "a multiple of " + std::to_string(s.heads), std::to_string(s.width),
        "choose a width that the heads divide");
  check(s.items <= INT32_MAX && s.width <= 65536 && s.positions <= 65536 && s.blocks <= 1024,
        "RR_BAD_MODEL", "SASRec's sizes are out of range",
        "width and positions up to 65,536, 1,024 blocks", "more");
  check(s.norm_epsilon > 0 && std::isfinite(s.norm_epsilon), "RR_BAD_MODEL",
        "the epsilon of the norms must be positive", "> 0", std::to_string(s.norm_epsilon));
}

SasrecModel::SasrecModel(const SasrecShape& shape, uint64_t seed) : shape_(shape) {
  validate(shape);
  const int64_t d = shape.width;
  layout_.append("item_embedding.weight", shape.items, d, true);
  positions_ = layout_.append("position_embedding.weight", shape.positions, d, true).offset;
  head_ = panels_.add(d, shape.items);
  head_back_ = panels_.add(shape.items, d);
  for (int64_t i = 0; i < shape.blocks; ++i) {
    const std::string name = "blocks." + std::to_string(i) + ".";
    SasrecBlock block;
    block.attention_norm = add_norm(name + "attention_norm");
    block.query = add_linear(name + "query", false);
    block.key = add_linear(name + "key", false);
    block.value = add_linear(name + "value", false);
    block.feed_forward_norm = add_norm(name + "feed_forward_norm");
    block.inner = add_linear(name + "inner", true);
    block.outer = add_linear(name + "outer", true);
    blocks_.push_back(block);
  }
  last_norm_ = add_norm("last_norm");

  values_.resize(layout_.total);
  for (size_t i = 0; i < layout_.entries.size(); ++i) {
    const Parameter& p = layout_.entries[i];
    float* to = values_.data() + p.offset;
    const bool gain = p.rows == 1 && p.name.ends_with("norm.weight");
    if (!p.decay) std::fill_n(to, p.size(), gain ? 1.0f : 0.0f);
    if (!p.decay) continue;
    const double reach = std::sqrt(6.0 / double(p.rows + p.cols));
    for (int64_t e = 0; e < p.size(); ++e)
      to[e] = float(reach * (2 * philox_uniform(seed, uint64_t(i), uint64_t(e)) - 1));
  }
}

SasrecNorm SasrecModel::add_norm(const std::string& name) {
  const int64_t gain = layout_.append(name + ".weight", 1, shape_.width, false).offset;
  return {gain, layout_.append(name + ".bias", 1, shape_.width, false).offset};
}

SasrecLinear SasrecModel::add_linear(const std::string& name, bool bias) {
  const int64_t d = shape_.width;
  SasrecLinear linear;
  linear.weight = layout_.append(name + ".weight", d, d, true).offset;
  if (bias) linear.bias = layout_.append(name + ".bias", 1, d, false).offset;
  linear.forward = panels_.add(d, d);
  linear.backward = panels_.add(d, d);
  return linear;
}

void SasrecModel::refresh(const Context& context) {
  if (!panels_.allocated()) panels_.allocate(*context.kernels, WeightType::kF32);
  const int64_t d = shape_.width;
  const auto pack = [&](size_t forward, size_t backward, int64_t offset) {
    panels_.pack(context, forward, at(offset), 1, d);
    panels_.pack(context, backward, at(offset), d, 1);
  };
  pack(head_, head_back_, item_table());
  for (const SasrecBlock& block : blocks_)
    for (const SasrecLinear* linear :
         {&block.query, &block.key, &block.value, &block.inner, &block.outer})
      pack(linear->forward, linear->backward, linear->weight);
}

LinearWeight SasrecModel::weight(const SasrecLinear& linear) const {
  const int64_t d = shape_.width;
  return {d, d, panels_.at(linear.forward), panels_.at(linear.backward),
          linear.bias < 0 ? nullptr : at(linear.bias)};
}

}  // namespace reasonrec
