// Attention over segment trees, backward (ops/attention.h), p recomputed from lse:
//   D = rowsum(dout out),  p = exp(scale q K^T - lse),  dp = dout V^T,  ds = scale p (dp - D)
//   dq = ds K,  dK = ds^T q,  dV = p^T dout
// Three kernels and no atomics, so every sum has one order: D; dq over tiles of query rows, keys in
// the forward's order; dk and dv over tiles of keys, rows in the order of the batch (the segment's
// own, then its descendants'). Seven products where one kernel with atomics needs five.
#include "backend/cuda/device/attention_tile.cuh"

namespace reasonrec::cuda {
namespace {

struct BackwardArrays {
  void *dq, *dk, *dv;
  float* delta;
  const void *dout, *out;
  const float* lse;
  const void *q, *k, *v;
};

constexpr int kKeyColumns = kKeyStep / kMmaColumns;
constexpr int kDeltaWarps = 4;

// One warp a row and head.
template <class T>
__global__ void attention_delta_kernel(float* delta, const T* dout, const T* out, int64_t count,
                                       int d) {
  const int lane = threadIdx.x % 32;
  const int64_t i = int64_t(blockIdx.x) * kDeltaWarps + threadIdx.x / 32;
  if (i >= count) return;
  float sum = 0;
  for (int j = lane; j < d; j += 32) sum += widen(dout[i * d + j]) * widen(out[i * d + j]);
  const float total = warp_sum(sum);
  if (lane == 0) delta[i] = total;
}

// lse and D of a lane's two rows.
struct RowSums {
  float lse[2], delta[2];
  __device__ RowSums(const BackwardArrays& a, const TileRow& low, const TileRow& high, int heads) {
    RR_UNROLL
    for (int half = 0; half < 2; ++half) {
      const TileRow& at = half ? high : low;
      const int64_t i = int64_t(at.row) * heads + at.head;
      lse[half] = at.entry < 0 ? 0.0f : a.lse[i];
      delta[half] = at.entry < 0 ? 0.0f : a.delta[i];
    }
  }
};

template <class T, int D>
__global__ void __launch_bounds__(kTileThreads)
    attention_dq_kernel(BackwardArrays a, AttentionPlan plan, AttentionHeads shape) {
  constexpr int kStride = D + kHeadPad;
  RR_SHARED(T, keys, kKeyStep * kStride);
  RR_SHARED(T, values, kKeyStep * kStride);
  const int kv_head = int(blockIdx.y), group = shape.heads / shape.kv_heads, d = shape.head_dim;
  const int lane = threadIdx.x % 32, t = lane % 4, x = threadIdx.x / 32 * kMmaRows + lane / 4;
  const AttentionTile tile = plan.tiles[blockIdx.x];
  const TileRow low = find_row(plan, tile, x, group, kv_head);
  const TileRow high = find_row(plan, tile, x + 8, group, kv_head);
  TileQueries<T, D> queries, up;
  queries.load(static_cast<const T*>(a.q), low, high, shape.heads, d);
  up.load(static_cast<const T*>(a.dout), low, high, shape.heads, d);
  const RowSums sums(a, low, high, shape.heads);
  float dq[D / kMmaColumns][4] = {};

  const int64_t slot_stride = int64_t(shape.kv_heads) * d;
  for_each_key_step(
      plan, tile, low, high, [&](KeyRange range, int first, int limit_low, int limit_high) {
        const int64_t from = (range.first_slot + int64_t(first)) * slot_stride + kv_head * d;
        __syncthreads();  // the last step's keys and values are read
        load_rows<T, D, kKeyStep, kTileThreads>(keys, static_cast<const T*>(a.k) + from,
                                                slot_stride, range.keys - first, d);
        load_rows<T, D, kKeyStep, kTileThreads>(values, static_cast<const T*>(a.v) + from,
                                                slot_stride, range.keys - first, d);
        __syncthreads();
        if (!__ballot_sync(kAllLanes, limit_low > first || limit_high > first)) return;
        float s[kKeyColumns][4] = {}, dp[kKeyColumns][4] = {};
        RR_UNROLL
        for (int step = 0; step < D / kMmaDepth; ++step) RR_UNROLL
        for (int j = 0; j < kKeyColumns; ++j) {
          const int at = j * kMmaColumns * kStride + step * kMmaDepth;
          mma(s[j], queries.fragment[step], load_b(keys + at, kStride, lane));
          mma(dp[j], up.fragment[step], load_b(values + at, kStride, lane));
        }
        RR_UNROLL
        for (int j = 0; j < kKeyColumns; ++j) RR_UNROLL
        for (int e = 0; e < 4; ++e) {
          const int half = e / 2, key = first + j * kMmaColumns + 2 * t + e % 2;
          const bool seen = key < (half ? limit_high : limit_low);
          const float p = seen ? expf(s[j][e] * shape.scale - sums.lse[half]) : 0.0f;
          s[j][e] = shape.scale * p * (dp[j][e] - sums.delta[half]);
        }
        RR_UNROLL
        for (int pair = 0; pair < kKeyColumns / 2; ++pair) {
          const FragmentA<T> ds = as_a<T>(s[2 * pair], s[2 * pair + 1]);
          RR_UNROLL
          for (int j = 0; j < D / kMmaColumns; ++j)
            mma(dq[j], ds,
                load_b_transposed(keys + pair * kMmaDepth * kStride + j * kMmaColumns, kStride,
                                  lane));
        }
      });
  RR_UNROLL
  for (int half = 0; half < 2; ++half) {
    const TileRow& at = half ? high : low;
    if (at.entry < 0) continue;
    T* to = static_cast<T*>(a.dq) + (int64_t(at.row) * shape.heads + at.head) * d;
    RR_UNROLL
    for (int j = 0; j < D / kMmaColumns; ++j)
      if (j * kMmaColumns + 2 * t < d)
        *reinterpret_cast<Pair<T>*>(to + j * kMmaColumns + 2 * t) =
            narrow_pair<T>(dq[j][2 * half], dq[j][2 * half + 1]);
  }
}

// Query rows that go through shared memory together in the kernel over keys: one k of mma.
constexpr int kRowStep = kMmaDepth;

// Keys of a block: what fits 48 KB beside a step of rows.
template <class T, int D>
constexpr int kBlockKeys = sizeof(T) == 2 ? kKeyTile
                           : D <= 64      ? 32
                                          : 16;

// S^T and dP^T of the warp's 16 keys and a step of rows become p^T and ds^T.
template <class T>
__device__ inline void scores_to_gradients(float p[2][4], float ds[2][4], const float* lse,
                                           const float* delta, const int* visible, int key_low,
                                           float scale) {
  const int t = threadIdx.x % 4;
  RR_UNROLL
  for (int j = 0; j < 2; ++j) RR_UNROLL
  for (int e = 0; e < 4; ++e) {
    const int x = j * kMmaColumns + 2 * t + e % 2, key = key_low + e / 2 * 8;
    p[j][e] = key < visible[x] ? expf(p[j][e] * scale - lse[x]) : 0.0f;
    ds[j][e] = scale * p[j][e] * (ds[j][e] - delta[x]);
  }
}

template <class T, int D>
__device__ inline void write_keys(void* to, const float acc[D / kMmaColumns][4], int64_t slot,
                                  int key, int keys, int64_t slot_stride, int d) {
  const int t = threadIdx.x % 4;
  RR_UNROLL
  for (int half = 0; half < 2; ++half) {
    if (key + half * 8 >= keys) continue;
    T* row = static_cast<T*>(to) + (slot + key + half * 8) * slot_stride;
    RR_UNROLL
    for (int j = 0; j < D / kMmaColumns; ++j)
      if (j * kMmaColumns + 2 * t < d)
        *reinterpret_cast<Pair<T>*>(row + j * kMmaColumns + 2 * t) =
            narrow_pair<T>(acc[j][2 * half], acc[j][2 * half + 1]);
  }
}

// grid: key tiles, kv heads, parts of a key tile. One warp has 16 keys.
template <class T, int D>
__global__ void __launch_bounds__(kBlockKeys<T, D> * 2)
    attention_dkv_kernel(BackwardArrays a, AttentionPlan plan, AttentionHeads shape) {
  constexpr int kStride = D + kHeadPad, kKeys = kBlockKeys<T, D>, kThreads = kKeys * 2;
  RR_SHARED(T, keys, kKeys * kStride);
  RR_SHARED(T, values, kKeys * kStride);
  RR_SHARED(T, queries, kRowStep * kStride);
  RR_SHARED(T, up, kRowStep * kStride);
  RR_SHARED(float, lse, kRowStep);
  RR_SHARED(float, delta, kRowStep);
  RR_SHARED(int, visible, kRowStep);  // keys of this segment that a row sees
  const int kv_head = int(blockIdx.y), group = shape.heads / shape.kv_heads, d = shape.head_dim;
  const int lane = threadIdx.x % 32, key_low = threadIdx.x / 32 * kMmaRows + lane / 4;
  const KeyTile tile = plan.key_tiles[blockIdx.x];
  const int part = int(blockIdx.z) * kKeys;
  const int count = tile.keys - part;  // of this block, at most kKeys
  if (count <= 0) return;
  const int first = tile.first + part;  // this block's first key within the segment
  const int64_t slot_stride = int64_t(shape.kv_heads) * d;
  const int64_t from = (int64_t(tile.slot) + part) * slot_stride + kv_head * d;
  load_rows<T, D, kKeys, kThreads>(keys, static_cast<const T*>(a.k) + from, slot_stride, count, d);
  load_rows<T, D, kKeys, kThreads>(values, static_cast<const T*>(a.v) + from, slot_stride, count,
                                   d);
  float dk[D / kMmaColumns][4] = {}, dv[D / kMmaColumns][4] = {};
  for (int r = tile.readers_begin; r < tile.readers_end; ++r) {
    const RowRange range = plan.readers[r];
    const int skip = range.own ? first : 0;  // rows before the first key see none of them
    for (int x0 = skip * group; x0 < range.rows * group; x0 += kRowStep) {
      __syncthreads();  // the last step's rows are read
      // Rows x0 .. of (rows, group): in memory they lie heads * d apart, the group inside.
      for (int i = threadIdx.x; i < kRowStep * D / 2; i += kThreads) {
        const int x = x0 + i / (D / 2), column = i % (D / 2) * 2;
        const bool there = x < range.rows * group;
        const int64_t at =
            (int64_t(range.row + x / group) * shape.heads + kv_head * group + x % group) * d;
        const int to = i / (D / 2) * kStride + column;
        *reinterpret_cast<Pair<T>*>(queries + to) =
            there ? pair_within(static_cast<const T*>(a.q) + at, column, d) : narrow_pair<T>(0, 0);
        *reinterpret_cast<Pair<T>*>(up + to) =
            there ? pair_within(static_cast<const T*>(a.dout) + at, column, d)
                  : narrow_pair<T>(0, 0);
      }
      if (threadIdx.x < kRowStep) {
        const int x = x0 + int(threadIdx.x);
        const bool there = x < range.rows * group;
        const int64_t at =
            int64_t(range.row + x / group) * shape.heads + kv_head * group + x % group;
        lse[threadIdx.x] = there ? a.lse[at] : 0.0f;
        delta[threadIdx.x] = there ? a.delta[at] : 0.0f;
        const int seen = range.own ? x / group + 1 - first : count;
        visible[threadIdx.x] = !there ? 0 : seen < count ? seen : count;
      }
      __syncthreads();
      float p[2][4] = {}, ds[2][4] = {};
      const int warp_row = threadIdx.x / 32 * kMmaRows * kStride;
      RR_UNROLL
      for (int step = 0; step < D / kMmaDepth; ++step) {
        const FragmentA<T> k = load_a(keys + warp_row + step * kMmaDepth, kStride, lane);
        const FragmentA<T> v = load_a(values + warp_row + step * kMmaDepth, kStride, lane);
        RR_UNROLL
        for (int j = 0; j < 2; ++j) {
          const int at = j * kMmaColumns * kStride + step * kMmaDepth;
          mma(p[j], k, load_b(queries + at, kStride, lane));
          mma(ds[j], v, load_b(up + at, kStride, lane));
        }
      }
      scores_to_gradients<T>(p, ds, lse, delta, visible, key_low, shape.scale);
      const FragmentA<T> p_rows = as_a<T>(p[0], p[1]), ds_rows = as_a<T>(ds[0], ds[1]);
      RR_UNROLL
      for (int j = 0; j < D / kMmaColumns; ++j) {
        mma(dv[j], p_rows, load_b_transposed(up + j * kMmaColumns, kStride, lane));
        mma(dk[j], ds_rows, load_b_transposed(queries + j * kMmaColumns, kStride, lane));
      }
    }
  }
  const int64_t slot = int64_t(tile.slot) + part, head = int64_t(kv_head) * d;
  write_keys<T, D>(static_cast<T*>(a.dk) + head, dk, slot, key_low, count, slot_stride, d);
  write_keys<T, D>(static_cast<T*>(a.dv) + head, dv, slot, key_low, count, slot_stride, d);
}

int32_t attention_backward(Stream stream, DataType type, void* dq, void* dk, void* dv, float* delta,
                           const void* dout, const void* out, const float* lse, const void* q,
                           const void* k, const void* v, AttentionPlan plan, AttentionHeads shape,
                           int64_t t) {
  if (!valid(shape)) return cudaErrorInvalidValue;
  if (plan.tile_count == 0 || t == 0) return cudaSuccess;
  const BackwardArrays a{dq, dk, dv, delta, dout, out, lse, q, k, v};
  return with_head_dim(shape.head_dim, [&](auto head_dim) {
    constexpr int D = decltype(head_dim)::value;
    return with_type(type, [&](auto tag) {
      using T = decltype(tag);
      const unsigned kv_heads = unsigned(shape.kv_heads);
      RR_LAUNCH((attention_delta_kernel<T>), dim3(blocks_for(t * shape.heads, kDeltaWarps)),
                dim3(kDeltaWarps * 32), native(stream), delta, static_cast<const T*>(dout),
                static_cast<const T*>(out), t * shape.heads, shape.head_dim);
      RR_LAUNCH((attention_dq_kernel<T, D>), dim3(unsigned(plan.tile_count), kv_heads),
                dim3(kTileThreads), native(stream), a, plan, shape);
      RR_LAUNCH((attention_dkv_kernel<T, D>),
                dim3(unsigned(plan.key_tile_count), kv_heads, kKeyTile / kBlockKeys<T, D>),
                dim3(kBlockKeys<T, D> * 2), native(stream), a, plan, shape);
    });
  });
}

}  // namespace

void fill_attention_backward(Table& table) { table.attention_backward = attention_backward; }

}  // namespace reasonrec::cuda
