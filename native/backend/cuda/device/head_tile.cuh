// A block's 64 rows x 64 tokens of logits, and which tokens a row may have. The head's forward,
// backward and sampling all make their logits here, so they have the same bits.
#pragma once
#include "backend/cuda/device/tile_product.cuh"

namespace reasonrec::cuda {

inline constexpr int kHeadRows = 64, kHeadTokens = 64;
template <class T>
using HeadTile = TileProduct<T, kHeadRows, kHeadTokens, 4, 1>;
inline constexpr int kHeadThreads = 128;
// A lane has these columns of two rows.
inline constexpr int kHeadColumns = kHeadTokens / kMmaColumns;

__device__ inline bool restricted(const HeadInput& in, int64_t row) {
  return in.allowed_begin && in.allowed_begin[row] < in.allowed_begin[row + 1];
}
// First index into the row's ids that is at least `token`.
__device__ inline int32_t allowed_from(const HeadInput& in, int64_t row, int64_t token) {
  int32_t low = in.allowed_begin[row], high = in.allowed_begin[row + 1];
  while (low < high) {
    const int32_t middle = low + (high - low) / 2;
    if (in.allowed_ids[middle] < token)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}
// Has the row a token in [begin, end)?
__device__ inline bool any_allowed(const HeadInput& in, int64_t row, int64_t begin, int64_t end) {
  if (row >= in.t) return false;
  if (!restricted(in, row)) return begin < in.v;
  const int32_t i = allowed_from(in, row, begin);
  return i < in.allowed_begin[row + 1] && in.allowed_ids[i] < end;
}
__device__ inline bool may_have(const HeadInput& in, int64_t row, bool is_restricted,
                                int64_t token) {
  if (row >= in.t || token >= in.v) return false;
  return !is_restricted || any_allowed(in, row, token, token + 1);
}

// Does any of the block's rows have a token of this tile? The same answer for all threads;
// needed: kHeadRows ints of shared memory.
__device__ inline bool tile_needed(const HeadInput& in, int* needed, int64_t row, int64_t begin) {
  if (!in.allowed_begin) return begin < in.v;
  __syncthreads();  // the last tile's answer is read
  if (threadIdx.x < kHeadRows)
    needed[threadIdx.x] = any_allowed(in, row + threadIdx.x, begin, begin + kHeadTokens);
  __syncthreads();
  int any = 0;
  for (int i = 0; i < kHeadRows; ++i) any |= needed[i];
  return any != 0;
}

// Raw logits of rows from `row` and tokens from `begin`; rows and tokens outside are zero.
template <class T>
__device__ inline void head_product(HeadTile<T>& tile, T* shared, const HeadInput& in, int64_t row,
                                    int64_t begin) {
  tile.clear();
  tile.add(shared, Operand<T>{static_cast<const T*>(in.hidden), in.h, false, in.t, in.h},
           Operand<T>{static_cast<const T*>(in.head), in.h, false, in.v, in.h}, row, begin);
}

}  // namespace reasonrec::cuda
