// The vocabulary head, forward and backward (ops/head_loss.h); no row of V logits is stored.
//
// Forward: one block 64 rows x 512 tokens, 64 x 64 logits at a time in registers, each row's max
// and sums kept along; a second kernel puts a row's blocks together. FLOPs 2 t h v; bytes: head
// once per 64 rows (from the cache), 16 per row and block.
// Backward: a chunk of tokens at a time, dz (t, chunk) from recomputed logits, then
// dhidden += dz head and dhead += dz^T hidden by gemm, tokens ascending whatever the chunk. FLOPs
// 4 t h v (6 with dhead); bytes: dz written and read once, 4 t v in bf16; the extra memory is the
// chunk's and no more.
#include "backend/cuda/device/head_partial.cuh"
#include "backend/cuda/gemm.cuh"

namespace reasonrec::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kHeadThreads, 4)
    head_forward_kernel(HeadPartial* partials, float* logits, HeadInput in) {
  RR_SHARED(T, shared, HeadTile<T>::kSharedValues);
  RR_SHARED(int, needed, kHeadRows);
  const int64_t first_row = int64_t(blockIdx.y) * kHeadRows;
  const int64_t first = int64_t(blockIdx.x) * kHeadBlock;
  const int64_t rows[2] = {first_row + HeadTile<T>::row_of(0, 0),
                           first_row + HeadTile<T>::row_of(0, 2)};
  const bool limited[2] = {rows[0] < in.t && restricted(in, rows[0]),
                           rows[1] < in.t && restricted(in, rows[1])};
  RunningPartial run[2];
  float target[2] = {-INFINITY, -INFINITY};
  for (int64_t begin = first; begin < first + kHeadBlock && begin < in.v; begin += kHeadTokens) {
    if (!logits && !tile_needed(in, needed, first_row, begin)) continue;
    HeadTile<T> tile;
    head_product(tile, shared, in, first_row, begin);
    RR_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int64_t row = rows[half];
      const int32_t wanted = in.targets && row < in.t ? in.targets[row] : -1;
      float z[kHeadColumns][2];
      RR_UNROLL
      for (int j = 0; j < kHeadColumns; ++j) RR_UNROLL
      for (int e = 0; e < 2; ++e) {
        const int64_t token = begin + HeadTile<T>::column_of(j, e);
        const float raw = tile.acc[0][j][2 * half + e];
        if (logits && row < in.t && token < in.v) logits[row * in.v + token] = raw;
        z[j][e] = may_have(in, row, limited[half], token) ? raw * in.inv_temperature : -INFINITY;
        if (token == wanted) target[half] = z[j][e];
      }
      run[half].add(z);
    }
  }
  RR_UNROLL
  for (int half = 0; half < 2; ++half) {
    const float sum = quad_sum(run[half].sum), weighted = quad_sum(run[half].weighted);
    // The one lane that met the target has its z; the others have -inf, or 0 in a sum.
    const float met = quad_sum(target[half] == -INFINITY ? 0.0f : target[half]);
    const float any = quad_max(target[half] == -INFINITY ? 0.0f : 1.0f);
    if (threadIdx.x % 4 == 0 && rows[half] < in.t)
      partials[int64_t(blockIdx.x) * in.t + rows[half]] = {run[half].max, sum, weighted,
                                                           any > 0 ? met : -INFINITY};
  }
}

__global__ void head_combine_kernel(float* logprob, float* entropy, float* lse,
                                    const HeadPartial* partials, HeadInput in, int blocks) {
  const int64_t row = element_index();
  if (row >= in.t) return;
  const HeadTotals totals = combine(partials + row, blocks, in.t);
  lse[row] = totals.lse;
  if (entropy) entropy[row] = totals.entropy;
  if (logprob)
    logprob[row] = in.targets && in.targets[row] >= 0 ? totals.target - totals.lse : 0.0f;
}

struct HeadGradient {
  const float *dlogprob, *dentropy, *lse, *entropy;
};

// dz (t, chunk) of tokens [first, first + count):
//   dz = (dlogp (1[v = y] - p) - dentropy p (log p + entropy)) / temperature,  log p = z - lse
template <class T>
__global__ void __launch_bounds__(kHeadThreads, 4)
    head_dz_kernel(T* dz, int64_t chunk, HeadGradient g, HeadInput in, int64_t first,
                   int64_t count) {
  RR_SHARED(T, shared, HeadTile<T>::kSharedValues);
  RR_SHARED(int, needed, kHeadRows);
  const int64_t first_row = int64_t(blockIdx.y) * kHeadRows;
  const int64_t begin = first + int64_t(blockIdx.x) * kHeadTokens;
  HeadTile<T> tile;
  const bool any = tile_needed(in, needed, first_row, begin);
  if (any)
    head_product(tile, shared, in, first_row, begin);
  else
    tile.clear();
  RR_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int64_t row = first_row + HeadTile<T>::row_of(0, 2 * half);
    if (row >= in.t) continue;
    const bool limited = restricted(in, row);
    const int32_t wanted = in.targets ? in.targets[row] : -1;
    const float up = wanted >= 0 ? g.dlogprob[row] * in.inv_temperature : 0.0f;
    const float entropy_up = g.dentropy ? g.dentropy[row] * in.inv_temperature : 0.0f;
    const float entropy = g.dentropy ? g.entropy[row] : 0.0f, lse = g.lse[row];
    RR_UNROLL
    for (int j = 0; j < kHeadColumns; ++j) RR_UNROLL
    for (int e = 0; e < 2; ++e) {
      const int64_t token = begin + HeadTile<T>::column_of(j, e);
      if (token >= first + count) continue;
      float d = 0;
      if (any && may_have(in, row, limited, token)) {
        const float logp = tile.acc[0][j][2 * half + e] * in.inv_temperature - lse;
        const float p = expf(logp);
        if (p > 0) d = -p * (entropy_up * (logp + entropy) + up);
        if (p != p) d = p;  // NaN is not hidden
        if (token == wanted) d += up;
      }
      dz[row * chunk + token - first] = narrow<T>(d);
    }
  }
}

int64_t head_scratch(int64_t t, int64_t v) {
  return t * head_blocks(v) * int64_t((sizeof(HeadPartial) + sizeof(HeadBest)) / sizeof(float));
}

int32_t head_forward(Stream stream, DataType type, float* logprob, float* entropy, float* lse,
                     float* logits, HeadInput in, float* scratch) {
  if (in.t == 0) return cudaSuccess;
  auto* partials = reinterpret_cast<HeadPartial*>(scratch);
  const int blocks = head_blocks(in.v);
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((head_forward_kernel<T>), dim3(unsigned(blocks), blocks_for(in.t, kHeadRows)),
              dim3(kHeadThreads), native(stream), partials, logits, in);
    RR_LAUNCH((head_combine_kernel), dim3(blocks_for(in.t, kElementThreads)), dim3(kElementThreads),
              native(stream), logprob, entropy, lse, partials, in, blocks);
  });
}

int32_t head_backward(Stream stream, DataType type, float* dhidden, float* dhead,
                      const float* dlogprob, const float* dentropy, const float* lse,
                      const float* entropy, HeadInput in, void* dz, int64_t chunk) {
  if (chunk <= 0 || chunk % kHeadTokens) return cudaErrorInvalidValue;
  if (in.t == 0) return cudaSuccess;
  const HeadGradient g{dlogprob, dentropy, lse, entropy};
  return with_type(type, [&](auto tag) -> int32_t {
    using T = decltype(tag);
    for (int64_t first = 0; first < in.v; first += chunk) {
      const int64_t count = in.v - first < chunk ? in.v - first : chunk;
      RR_LAUNCH(
          (head_dz_kernel<T>), dim3(blocks_for(count, kHeadTokens), blocks_for(in.t, kHeadRows)),
          dim3(kHeadThreads), native(stream), static_cast<T*>(dz), chunk, g, in, first, count);
      const T* rows = static_cast<const T*>(in.head) + first * in.h;
      const GemmTerm to_hidden{dz, chunk, rows, in.h, count, 0, 1};
      const int32_t error = gemm(stream, type, kF32, dhidden, in.h, in.t, in.h, &to_hidden, 1,
                                 first == 0 ? kStartZero : kStartAccumulate, nullptr);
      if (error) return error;
      if (!dhead) continue;
      const GemmTerm to_head{dz, chunk, in.hidden, in.h, in.t, 1, 1};
      const int32_t second = gemm(stream, type, kF32, dhead + first * in.h, in.h, count, in.h,
                                  &to_head, 1, kStartAccumulate, nullptr);
      if (second) return second;
    }
    return cudaSuccess;
  });
}

}  // namespace

void fill_head_loss(Table& table) {
  table.head_scratch = head_scratch;
  table.head_forward = head_forward;
  table.head_backward = head_backward;
}

}  // namespace reasonrec::cuda
