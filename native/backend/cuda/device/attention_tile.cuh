// What the kernels over query tiles share (attention.cu, attention_backward.cu): which row of the
// tile is which row and head of the batch, fragments of its queries, and the walk over its keys.
// Row x of a tile: rows of its entries one after the other, the heads of the group inside.
#pragma once
#include "backend/cuda/device/mma.cuh"

namespace reasonrec::cuda {

inline constexpr int kKeyStep = 32;  // keys that go through shared memory together
inline constexpr int kTileThreads = kTileRows / kMmaRows * 32;
inline constexpr int kHeadPad = 8;  // values between rows of shared memory: no bank conflicts

// A row of the tile, as the two rows that a lane's accumulators belong to.
struct TileRow {
  int32_t entry = -1;  // -1: no such row
  int32_t row = 0, head = 0, visible = 0;
};

__device__ inline TileRow find_row(const AttentionPlan& plan, const AttentionTile& tile, int x,
                                   int group, int kv_head) {
  TileRow out;
  int at = 0;
  for (int e = tile.rows_begin; e < tile.rows_end; ++e) {
    const AttentionRows rows = plan.rows[e];
    const int i = (x - at) / group;
    if (x >= at && i < rows.rows) {
      out.entry = e;
      out.row = rows.row + i;
      out.head = kv_head * group + (x - at) % group;
      out.visible = rows.visible + i;
    }
    at += rows.rows * group;
  }
  return out;
}

// Two neighbouring values of a row of d, zeros beyond it. Rows begin at even places, d is even.
template <class T>
__device__ inline Pair<T> pair_within(const T* row, int column, int d) {
  return column < d ? load_pair(row + column) : narrow_pair<T>(0, 0);
}

// The warp's 16 rows of x (t, heads, d) as fragments; rows the tile has not are zero.
template <class T, int D>
struct TileQueries {
  FragmentA<T> fragment[D / kMmaDepth];

  __device__ void load(const T* x, const TileRow& low, const TileRow& high, int heads, int d) {
    const int t = threadIdx.x % 4;
    RR_UNROLL
    for (int s = 0; s < D / kMmaDepth; ++s) RR_UNROLL
    for (int r = 0; r < 4; ++r) {
      const TileRow& at = r % 2 ? high : low;
      const int column = s * kMmaDepth + r / 2 * 8 + 2 * t;
      fragment[s].r[r] = at.entry < 0
                             ? narrow_pair<T>(0, 0)
                             : pair_within(x + (int64_t(at.row) * heads + at.head) * d, column, d);
    }
  }
};

// rows [0, count) of x (slots, kv_heads, d), one head, into s (ROWS, D + kHeadPad); the rest zero.
template <class T, int D, int ROWS, int THREADS>
__device__ inline void load_rows(T* s, const T* x, int64_t row_stride, int count, int d) {
  for (int i = threadIdx.x; i < ROWS * D / 2; i += THREADS) {
    const int r = i / (D / 2), column = i % (D / 2) * 2;
    *reinterpret_cast<Pair<T>*>(s + r * (D + kHeadPad) + column) =
        r < count ? pair_within(x + r * row_stride, column, d) : narrow_pair<T>(0, 0);
  }
}

// Calls step(range, first, limit_low, limit_high): keys [first, first + kKeyStep) of a range, of
// which this lane's two rows see those below their limits. Ancestors first, all of whose keys all
// rows see; then each entry's own keys, which only its rows see. All threads of the block.
template <class Step>
__device__ inline void for_each_key_step(const AttentionPlan& plan, const AttentionTile& tile,
                                         const TileRow& low, const TileRow& high, Step&& step) {
  const int ancestors = tile.chain_end - tile.chain_begin;
  const int ranges = ancestors + tile.rows_end - tile.rows_begin;
  RR_NO_UNROLL
  for (int r = 0; r < ranges; ++r) {
    KeyRange range;
    int limit_low, limit_high;
    if (r < ancestors) {
      range = plan.chain[tile.chain_begin + r];
      limit_low = low.entry < 0 ? 0 : range.keys;
      limit_high = high.entry < 0 ? 0 : range.keys;
    } else {
      const int e = tile.rows_begin + r - ancestors;
      const AttentionRows rows = plan.rows[e];
      range = {rows.first_slot, rows.visible + rows.rows - 1};
      limit_low = low.entry == e ? low.visible : 0;
      limit_high = high.entry == e ? high.visible : 0;
    }
    RR_NO_UNROLL
    for (int first = 0; first < range.keys; first += kKeyStep)
      step(range, first, limit_low, limit_high);
  }
}

// Calls f with the padded head dimension as a constant.
template <class F>
int32_t with_head_dim(int32_t d, F&& f) {
  if (d < 2 || d % 2 || d > 128) return cudaErrorInvalidValue;
  if (d <= 16) return f(std::integral_constant<int, 16>{});
  if (d <= 64) return f(std::integral_constant<int, 64>{});
  return f(std::integral_constant<int, 128>{});
}

inline bool valid(const AttentionHeads& h) {
  return h.heads > 0 && h.kv_heads > 0 && h.heads % h.kv_heads == 0 &&
         h.heads / h.kv_heads <= kTileRows;
}

}  // namespace reasonrec::cuda
