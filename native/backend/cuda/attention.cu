// Attention over segment trees, forward (ops/attention.h): one block a tile of 64 query rows (rows
// x heads of a group) and a key head, four warps of 16 rows. Keys and values go through shared
// memory 32 at a time; the maximum and the sum of p run along (Milakov & Gimelshein 2018; Dao
// 2023).
//
// Identity: a row's keys come in blocks of 32 counted from each segment's start, ancestors first. A
// block that a row may not see leaves its maximum where it is, scales by exp(0) and adds zeros, so
// neither the tile nor what else is in the batch changes a bit: decoding equals training.
// FLOPs 4 d per row and key seen; bytes: q and out once, k and v once per tile. Shared memory:
// 2 * 32 * (D + 8) values.
#include "backend/cuda/device/attention_tile.cuh"

namespace reasonrec::cuda {
namespace {

struct AttentionArrays {
  void* out;
  float* lse;
  const void *q, *k, *v;
};

constexpr int kKeyColumns = kKeyStep / kMmaColumns;

// A lane's part of two rows: running maximum of scaled scores, sum of p, weighted values.
template <int D>
struct Running {
  float max[2], sum[2], out[D / kMmaColumns][4];
};

// p = exp(s - max) over one step of keys, in place of s; sums and outputs move to the new maximum.
template <int D>
__device__ inline void online_softmax(Running<D>& run, float s[kKeyColumns][4], int first,
                                      int limit_low, int limit_high, float scale) {
  const int t = threadIdx.x % 4;
  RR_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int limit = (half ? limit_high : limit_low) - first;
    float top = -INFINITY;
    RR_UNROLL
    for (int j = 0; j < kKeyColumns; ++j) RR_UNROLL
    for (int e = 2 * half; e < 2 * half + 2; ++e) {
      const bool seen = j * kMmaColumns + 2 * t + e % 2 < limit;
      s[j][e] = seen ? s[j][e] * scale : -INFINITY;
      top = fmaxf(top, s[j][e]);
    }
    top = fmaxf(quad_max(top), run.max[half]);
    const bool none = top == -INFINITY;  // no key seen so far
    const float shrink = none ? 1.0f : expf(run.max[half] - top);
    run.max[half] = top;
    float sum = 0;
    RR_UNROLL
    for (int j = 0; j < kKeyColumns; ++j) RR_UNROLL
    for (int e = 2 * half; e < 2 * half + 2; ++e) {
      s[j][e] = none ? 0.0f : expf(s[j][e] - top);
      sum += s[j][e];
    }
    run.sum[half] = run.sum[half] * shrink + sum;
    RR_UNROLL
    for (int j = 0; j < D / kMmaColumns; ++j) RR_UNROLL
    for (int e = 2 * half; e < 2 * half + 2; ++e) run.out[j][e] *= shrink;
  }
}

template <class T, int D>
__device__ inline void write_row(const AttentionArrays& a, const AttentionHeads& shape,
                                 const Running<D>& run, const TileRow& at, int half, float sum) {
  if (at.entry < 0) return;
  const int t = threadIdx.x % 4;
  const int64_t index = int64_t(at.row) * shape.heads + at.head;
  if (a.lse && t == 0) a.lse[index] = run.max[half] + logf(sum);
  T* to = static_cast<T*>(a.out) + index * shape.head_dim;
  RR_UNROLL
  for (int j = 0; j < D / kMmaColumns; ++j) {
    const int column = j * kMmaColumns + 2 * t;
    if (column < shape.head_dim)
      *reinterpret_cast<Pair<T>*>(to + column) =
          narrow_pair<T>(run.out[j][2 * half] / sum, run.out[j][2 * half + 1] / sum);
  }
}

template <class T, int D>
__global__ void __launch_bounds__(kTileThreads)
    attention_forward_kernel(AttentionArrays a, AttentionPlan plan, AttentionHeads shape) {
  constexpr int kStride = D + kHeadPad;
  RR_SHARED(T, keys, kKeyStep * kStride);
  RR_SHARED(T, values, kKeyStep * kStride);
  const int kv_head = int(blockIdx.y), group = shape.heads / shape.kv_heads, d = shape.head_dim;
  const int lane = threadIdx.x % 32, x = threadIdx.x / 32 * kMmaRows + lane / 4;
  const AttentionTile tile = plan.tiles[blockIdx.x];
  const TileRow low = find_row(plan, tile, x, group, kv_head);
  const TileRow high = find_row(plan, tile, x + 8, group, kv_head);
  TileQueries<T, D> queries;
  queries.load(static_cast<const T*>(a.q), low, high, shape.heads, d);
  Running<D> run{{-INFINITY, -INFINITY}, {0, 0}, {}};

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
        float s[kKeyColumns][4] = {};
        RR_UNROLL
        for (int step = 0; step < D / kMmaDepth; ++step) RR_UNROLL
        for (int j = 0; j < kKeyColumns; ++j)
          mma(s[j], queries.fragment[step],
              load_b(keys + j * kMmaColumns * kStride + step * kMmaDepth, kStride, lane));
        online_softmax(run, s, first, limit_low, limit_high, shape.scale);
        RR_UNROLL
        for (int pair = 0; pair < kKeyColumns / 2; ++pair) {
          const FragmentA<T> p = as_a<T>(s[2 * pair], s[2 * pair + 1]);
          RR_UNROLL
          for (int j = 0; j < D / kMmaColumns; ++j)
            mma(run.out[j], p,
                load_b_transposed(values + pair * kMmaDepth * kStride + j * kMmaColumns, kStride,
                                  lane));
        }
      });
  const float sum_low = quad_sum(run.sum[0]), sum_high = quad_sum(run.sum[1]);
  write_row<T>(a, shape, run, low, 0, sum_low);
  write_row<T>(a, shape, run, high, 1, sum_high);
}

int32_t attention_forward(Stream stream, DataType type, void* out, float* lse, const void* q,
                          const void* k, const void* v, AttentionPlan plan, AttentionHeads shape) {
  if (!valid(shape)) return cudaErrorInvalidValue;
  if (plan.tile_count == 0) return cudaSuccess;
  const AttentionArrays arrays{out, lse, q, k, v};
  return with_head_dim(shape.head_dim, [&](auto head_dim) {
    return with_type(type, [&](auto tag) {
      using T = decltype(tag);
      RR_LAUNCH((attention_forward_kernel<T, head_dim.value>),
                dim3(unsigned(plan.tile_count), unsigned(shape.kv_heads)), dim3(kTileThreads),
                native(stream), arrays, plan, shape);
    });
  });
}

}  // namespace

void fill_attention(Table& table) { table.attention_forward = attention_forward; }

}  // namespace reasonrec::cuda
