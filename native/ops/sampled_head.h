// The head over a few items per row, with a binary loss (Kang & McAuley 2018; Petrov & Macdonald
// 2023): column 0 of a row's ids is its positive, the others are negatives,
//   s_c = hidden . table[id_c],
//   loss = -(b log sigma(s_0) + sum over c > 0 of log(1 - sigma(s_c))) per row,
// b = 1 for binary cross-entropy; for gBCE b = a (f (1 - 1/a) + 1/a), a the share of items sampled,
// f in [0, 1] the calibration.
// Backward: ds_0 = -b (1 - sigma(s_0)), ds_c = sigma(s_c); dhidden = sum over c of ds_c
// table[id_c], dtable[id_c] += ds_c hidden, rows ascending. Saved: hidden and s.
#pragma once
#include <cstdint>

#include "backend/backend.h"

namespace reasonrec {

struct SampledHead {
  const float* table = nullptr;  // (V, H)
  const int32_t* ids = nullptr;  // (T, C), 0 <= id < V
  int64_t t = 0, columns = 0, h = 0;
};

// scores (T, C). A score's terms add in sixteen fixed lanes.
void sampled_head_forward(const Context&, float* scores, const float* hidden, const SampledHead&);
// scores -> d loss / d score times `weight`, in place. Returns weight times the summed loss.
double binary_loss(float* scores, const SampledHead&, double positive_weight, double weight);
// dhidden (T, H) overwritten, dtable (V, H) +=.
void sampled_head_backward(const Context&, float* dhidden, float* dtable, const float* dscores,
                           const float* hidden, const SampledHead&);

namespace reference {
// Summed loss, unweighted.
double sampled_head_loss(const double* hidden, const double* table, const int32_t* ids, int64_t t,
                         int64_t columns, int64_t h, double positive_weight);
}  // namespace reference
}  // namespace reasonrec
