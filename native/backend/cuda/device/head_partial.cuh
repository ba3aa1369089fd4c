// What a block of 512 tokens leaves of a row, and how the blocks of a row become its log-sum-exp
// and entropy: one order, the same for training and sampling.
//   max m, sum = sum exp(z - m), weighted = sum (z - m) exp(z - m)
//   lse = M + log S,  entropy = log S - W / S,  combined in fp64
#pragma once
#include "backend/cuda/device/head_tile.cuh"

namespace reasonrec::cuda {

struct HeadPartial {
  float max, sum, weighted, target;  // target: its z, or -inf
};
// The best token of a block; score = z + noise.
struct HeadBest {
  float score, z;
  int32_t token;  // -1: none
};

__device__ inline void take_better(HeadBest& best, float score, float z, int32_t token) {
  if (score > best.score || (score == best.score && token >= 0 && token < best.token))
    best = {score, z, token};
}

// A lane's running values of one row over the tiles of its block.
struct RunningPartial {
  float max = -INFINITY, sum = 0, weighted = 0;

  // z (kHeadColumns, 2): -inf for tokens the row may not have. All four lanes of the row.
  __device__ void add(const float z[kHeadColumns][2]) {
    float top = -INFINITY;
    RR_UNROLL
    for (int j = 0; j < kHeadColumns; ++j) top = fmaxf(top, fmaxf(z[j][0], z[j][1]));
    top = fmaxf(quad_max(top), max);
    if (top > max && sum != 0) {
      const float shift = max - top, factor = expf(shift);
      weighted = (weighted + shift * sum) * factor;
      sum *= factor;
    }
    max = top;
    const float from = top == -INFINITY ? 0.0f : top;
    RR_UNROLL
    for (int j = 0; j < kHeadColumns; ++j) RR_UNROLL
    for (int e = 0; e < 2; ++e) {
      const float d = z[j][e] - from;
      if (d == -INFINITY) continue;
      const float p = expf(d);
      sum += p;
      weighted += d * p;
    }
  }
};

// A row's partials, one per block of the vocabulary, `stride` apart.
struct HeadTotals {
  float lse, entropy, target;
};
__device__ inline HeadTotals combine(const HeadPartial* partials, int blocks, int64_t stride) {
  double max = -INFINITY;
  float target = -INFINITY;
  for (int b = 0; b < blocks; ++b) {
    const HeadPartial& p = partials[b * stride];
    if (p.sum != 0 && !(double(p.max) <= max)) max = double(p.max);
    if (p.target > target || p.target != p.target) target = p.target;
  }
  double sum = 0, weighted = 0;
  for (int b = 0; b < blocks; ++b) {
    const HeadPartial& p = partials[b * stride];
    if (p.sum == 0) continue;
    const double shift = double(p.max) - max, factor = exp(shift);
    sum += double(p.sum) * factor;
    weighted += (double(p.weighted) + shift * double(p.sum)) * factor;
  }
  return {float(max + log(sum)), float(log(sum) - weighted / sum), target};
}

inline int head_blocks(int64_t v) { return int((v + kHeadBlock - 1) / kHeadBlock); }

}  // namespace reasonrec::cuda
