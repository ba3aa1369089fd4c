// SASRec's weights: one table of item embeddings (input and head), learned positions, and per block
//   n = norm_1(x);  x += attention(W_q n, W_k n, W_v n)
//   n = norm_2(x);  x += W_2 relu(W_1 n + b_1) + b_2
// with a last norm after the blocks (Kang & McAuley, "Self-Attentive Sequential Recommendation",
// ICDM 2018; eval/baselines/sasrec in src/ says what is chosen beyond the paper's text).
// Master values are fp32 in one flat buffer; the panels are packed again after every update.
#pragma once
#include <cstdint>
#include <vector>

#include "model/panel_store.h"
#include "model/parameters.h"
#include "ops/linear_lora.h"

namespace reasonrec {

struct SasrecShape {
  int64_t items = 0;      // V: size of the catalogue
  int64_t positions = 0;  // n: longest sequence that is read
  int64_t width = 0;      // d
  int64_t blocks = 0;
  int heads = 0;  // width % heads == 0
  float norm_epsilon = 0;

  AttentionShape attention() const;
};
void validate(const SasrecShape&);  // throws RR_BAD_MODEL

struct SasrecNorm {
  int64_t gain = 0, shift = 0;  // offsets into the flat buffer, (d) each
};
struct SasrecLinear {
  int64_t weight = 0, bias = -1;     // offsets: (d, d), (d); -1: none
  size_t forward = 0, backward = 0;  // matrices of the panel store
};

struct SasrecBlock {
  SasrecNorm attention_norm, feed_forward_norm;
  SasrecLinear query, key, value, inner, outer;
};

class SasrecModel {
 public:
  // Matrices uniform in +-sqrt(6 / (rows + columns)) by Philox(seed, tensor, element), gains one,
  // the rest zero. refresh() before a forward.
  SasrecModel(const SasrecShape&, uint64_t seed);

  const SasrecShape& shape() const { return shape_; }
  const ParameterLayout& layout() const { return layout_; }
  float* values() { return values_.data(); }
  const float* values() const { return values_.data(); }
  void refresh(const Context&);  // packs; call after values() changed

  int64_t item_table() const { return 0; }  // offsets
  int64_t position_table() const { return positions_; }
  const std::vector<SasrecBlock>& blocks() const { return blocks_; }
  const SasrecNorm& last_norm() const { return last_norm_; }
  const float* at(int64_t offset) const { return values_.data() + offset; }

  LinearWeight weight(const SasrecLinear&) const;
  Panels head() const { return panels_.at(head_); }                // (d, V)
  Panels head_backward() const { return panels_.at(head_back_); }  // (V, d)

 private:
  SasrecNorm add_norm(const std::string& name);
  SasrecLinear add_linear(const std::string& name, bool bias);

  SasrecShape shape_;
  ParameterLayout layout_;
  Buffer values_;
  int64_t positions_ = 0;
  std::vector<SasrecBlock> blocks_;
  SasrecNorm last_norm_;
  PanelStore panels_;
  size_t head_ = 0, head_back_ = 0;
};

}  // namespace reasonrec
