// SASRec's forward and backward over packed sequences: one segment per user, no padding.
//   x = drop(sqrt(d) E[item] + P[place]);  blocks (sasrec_model.h), drop() on what each adds to x;
//   hidden = norm(x)
// A sequence of m items takes the last m of the n places, as the paper's left padding gives them.
// Dropout masks: Philox(seed, stream, element of the step), stream 0 for x, 1 + 2 b and 2 + 2 b for
// block b: they depend on neither the threads nor how the step is cut.
#pragma once
#include <cstdint>
#include <vector>

#include "sasrec/sasrec_model.h"

namespace reasonrec {

struct SasrecRows {
  std::vector<int32_t> items, places;  // T
  std::vector<Segment> segments;       // roots
  int64_t rows() const { return int64_t(items.size()); }
  // The sequence's last items that fit; places count from the end.
  void append(const SasrecModel&, const int32_t* sequence, int64_t count);
};

struct SasrecDropout {
  float p = 0;
  uint64_t seed = 0;
  int64_t first_row = 0;  // of these rows within the step
};

// What the forward leaves for the backward.
struct SasrecActivations {
  SasrecDropout dropout;
  struct Block {
    Buffer x, mean_1, inv_std_1, q, k, v, attention, lse, x_mid, mean_2, inv_std_2, relu;
  };
  std::vector<Block> blocks;
  Buffer x_last, mean_last, inv_std_last;
};

// hidden (T, d).
void sasrec_forward(const Context&, const SasrecModel&, const SasrecRows&, float* hidden,
                    SasrecActivations&);
// gradients: flat like the layout, +=; the items' part of the input side goes there too.
void sasrec_backward(const Context&, const SasrecModel&, const SasrecRows&, float* gradients,
                     const float* dhidden, const SasrecActivations&);

}  // namespace reasonrec
