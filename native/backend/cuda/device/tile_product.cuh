// A block's tile of a product: acc (BM, BN) += A (BM, k) B (k, BN), k ascending in steps of 32 that
// go through shared memory. WM x WN warps, each with (BM / WM) x (BN / WN) of the tile in
// registers. Rows, columns and k outside the operands count as zero. An element's sum takes its k
// in groups of 16 from first to last whatever the tile, so every tile shape gives the same bits.
// Shared memory: (BM + BN) * 40 values.
#pragma once
#include "backend/cuda/device/mma.cuh"

namespace reasonrec::cuda {

inline constexpr int kStepDepth = 32, kStepStride = kStepDepth + 8;  // 8: no bank conflicts

// An operand's rows (of A) or columns (of B), `count` in all, k values each.
template <class T>
struct Operand {
  const T* data;
  int64_t stride;
  bool transposed;  // k outermost
  int64_t count, k;
};

// s[r][kk] = operand[first + r][k0 + kk] for ROWS rows and kStepDepth k. A thread moves 8 values
// that are neighbours in memory, by 16-byte words where they are whole and aligned.
template <class T, int ROWS, int THREADS>
__device__ inline void load_step(T* s, const Operand<T>& from, int64_t first, int64_t k0) {
  constexpr int kChunks = ROWS * kStepDepth / 8;
  for (int chunk = threadIdx.x; chunk < kChunks; chunk += THREADS) {
    if (!from.transposed) {
      const int r = chunk / (kStepDepth / 8), kk = chunk % (kStepDepth / 8) * 8;
      const int64_t row = first + r, k = k0 + kk;
      T* to = s + r * kStepStride + kk;
      const T* p = from.data + row * from.stride + k;
      if (row < from.count && k + 8 <= from.k && reinterpret_cast<uintptr_t>(p) % 16 == 0) {
        RR_UNROLL
        for (int w = 0; w < int(sizeof(T)) / 2; ++w)
          reinterpret_cast<uint4*>(to)[w] = reinterpret_cast<const uint4*>(p)[w];
      } else {
        for (int i = 0; i < 8; ++i)
          to[i] = row < from.count && k + i < from.k ? p[i] : narrow<T>(0.0f);
      }
    } else {
      const int kk = chunk / (ROWS / 8), r = chunk % (ROWS / 8) * 8;
      const int64_t row = first + r, k = k0 + kk;
      const T* p = from.data + k * from.stride + row;
      for (int i = 0; i < 8; ++i)
        s[(r + i) * kStepStride + kk] = row + i < from.count && k < from.k ? p[i] : narrow<T>(0.0f);
    }
  }
}

template <class T, int BM, int BN, int WM, int WN>
struct TileProduct {
  static constexpr int kThreads = WM * WN * 32, kSharedValues = (BM + BN) * kStepStride;
  static constexpr int kWarpRows = BM / WM, kWarpColumns = BN / WN;
  static constexpr int kRowTiles = kWarpRows / kMmaRows, kColumnTiles = kWarpColumns / kMmaColumns;
  float acc[kRowTiles][kColumnTiles][4];

  __device__ void clear() {
    RR_UNROLL
    for (int i = 0; i < kRowTiles; ++i) RR_UNROLL
    for (int j = 0; j < kColumnTiles; ++j) RR_UNROLL
    for (int e = 0; e < 4; ++e) acc[i][j][e] = 0;
  }

  // The tile's first row and column; `shared` holds kSharedValues. All threads of the block.
  __device__ void add(T* shared, const Operand<T>& a, const Operand<T>& b, int64_t row,
                      int64_t column) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const T* sa = shared + warp / WN * kWarpRows * kStepStride;
    const T* sb = shared + (BM + warp % WN * kWarpColumns) * kStepStride;
    for (int64_t k0 = 0; k0 < a.k; k0 += kStepDepth) {
      __syncthreads();  // the last step's fragments are read
      load_step<T, BM, kThreads>(shared, a, row, k0);
      load_step<T, BN, kThreads>(shared + BM * kStepStride, b, column, k0);
      __syncthreads();
      RR_UNROLL
      for (int kk = 0; kk < kStepDepth; kk += kMmaDepth) {
        if (k0 + kk >= a.k) break;
        FragmentB<T> right[kColumnTiles];
        RR_UNROLL
        for (int j = 0; j < kColumnTiles; ++j)
          right[j] = load_b(sb + j * kMmaColumns * kStepStride + kk, kStepStride, lane);
        RR_UNROLL
        for (int i = 0; i < kRowTiles; ++i) {
          const FragmentA<T> left = load_a(sa + i * kMmaRows * kStepStride + kk, kStepStride, lane);
          RR_UNROLL
          for (int j = 0; j < kColumnTiles; ++j) mma(acc[i][j], left, right[j]);
        }
      }
    }
  }

  // Row and column within the tile of acc[i][j][e].
  __device__ static int row_of(int i, int e) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    return warp / WN * kWarpRows + i * kMmaRows + lane / 4 + e / 2 * 8;
  }
  __device__ static int column_of(int j, int e) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    return warp % WN * kWarpColumns + j * kMmaColumns + lane % 4 * 2 + e % 2;
  }
};

}  // namespace reasonrec::cuda
