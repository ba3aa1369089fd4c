// Drawing the next token on the device.
//
// head_sample: in the pass that makes the logits, nothing stored: the best of z + Gumbel noise has
// the softmax's distribution. The noise of (row, token) is word token % 4 of Philox(seed, stream,
// position * 2^32 + token / 4), so neither the batch nor the blocks change a draw. With w uniform
// in (0, 1) in steps of 2^-32, -log(-log1p(-w)) is exact where it decides, at small w.
//
// head_sample_filtered: from stored logits, the filters of decode/sampler.h: temperature, top-k,
// top-p, min-p, ties to the smaller id, then the first id whose cumulative mass exceeds u. One
// block a row. Thresholds come from a radix search over the logits' bits, eight at a time; masses
// are summed as integers of 2^-40, so that no order of addition matters.
#include "backend/cuda/device/head_partial.cuh"
#include "core/philox.h"

namespace reasonrec::cuda {
namespace {

__device__ inline float gumbel(uint32_t word) {
  const float w = (float(word) + 0.5f) * 0x1p-32f;
  return w < 1.0f ? -logf(-log1pf(-w)) : -INFINITY;
}

template <class T>
__global__ void __launch_bounds__(kHeadThreads, 4)
    head_sample_kernel(HeadPartial* partials, HeadBest* best, HeadInput in, DrawInput draw,
                       bool greedy) {
  RR_SHARED(T, shared, HeadTile<T>::kSharedValues);
  RR_SHARED(int, needed, kHeadRows);
  const int64_t first_row = int64_t(blockIdx.y) * kHeadRows;
  const int64_t first = int64_t(blockIdx.x) * kHeadBlock;
  RunningPartial run[2];
  HeadBest top[2] = {{-INFINITY, 0, -1}, {-INFINITY, 0, -1}};
  for (int64_t begin = first; begin < first + kHeadBlock && begin < in.v; begin += kHeadTokens) {
    if (!tile_needed(in, needed, first_row, begin)) continue;
    HeadTile<T> tile;
    head_product(tile, shared, in, first_row, begin);
    RR_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int64_t row = first_row + HeadTile<T>::row_of(0, 2 * half);
      const bool there = row < in.t, limited = there && restricted(in, row);
      const uint64_t stream = there && !greedy ? draw.streams[row] : 0;
      const uint64_t position = there && !greedy ? uint64_t(draw.positions[row]) : 0;
      float z[kHeadColumns][2];
      RR_UNROLL
      for (int j = 0; j < kHeadColumns; ++j) {
        const int64_t pair = begin + HeadTile<T>::column_of(j, 0);  // even
        uint32_t words[4] = {0, 0, 0, 0};
        if (there && !greedy)
          philox_words(words, draw.seed, stream, position << 32 | uint64_t(pair) / 4);
        RR_UNROLL
        for (int e = 0; e < 2; ++e) {
          const float raw = tile.acc[0][j][2 * half + e];
          const bool allowed = may_have(in, row, limited, pair + e);
          z[j][e] = allowed ? raw * in.inv_temperature : -INFINITY;
          const uint32_t word = pair % 4 ? words[2 + e] : words[e];
          const float score = greedy ? raw : z[j][e] + gumbel(word);
          if (allowed) take_better(top[half], score, z[j][e], int32_t(pair) + e);
        }
      }
      run[half].add(z);
    }
  }
  RR_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int64_t row = first_row + HeadTile<T>::row_of(0, 2 * half);
    const float sum = quad_sum(run[half].sum), weighted = quad_sum(run[half].weighted);
    HeadBest mine = top[half];
    for (int o = 1; o < 4; o *= 2) {
      const float score = __shfl_xor_sync(kAllLanes, mine.score, o);
      const float z = __shfl_xor_sync(kAllLanes, mine.z, o);
      const int32_t token = __shfl_xor_sync(kAllLanes, mine.token, o);
      take_better(mine, score, z, token);
    }
    if (threadIdx.x % 4 != 0 || row >= in.t) continue;
    const int64_t at = int64_t(blockIdx.x) * in.t + row;
    partials[at] = {run[half].max, sum, weighted, -INFINITY};
    best[at] = mine;
  }
}

__global__ void head_choose_kernel(int32_t* token, float* logprob, float* entropy, float* lse,
                                   const HeadPartial* partials, const HeadBest* best, int64_t t,
                                   int blocks) {
  const int64_t row = element_index();
  if (row >= t) return;
  const HeadTotals totals = combine(partials + row, blocks, t);
  HeadBest chosen{-INFINITY, 0, -1};
  for (int b = 0; b < blocks; ++b) {
    const HeadBest& other = best[b * t + row];
    take_better(chosen, other.score, other.z, other.token);
  }
  lse[row] = totals.lse;
  if (entropy) entropy[row] = totals.entropy;
  token[row] = chosen.token;
  logprob[row] = chosen.z - totals.lse;
}

int32_t head_sample(Stream stream, DataType type, int32_t* token, float* logprob, float* entropy,
                    float* lse, HeadInput in, DrawInput draw, int32_t greedy, float* scratch) {
  if (in.t == 0) return cudaSuccess;
  const int blocks = head_blocks(in.v);
  auto* partials = reinterpret_cast<HeadPartial*>(scratch);
  auto* best = reinterpret_cast<HeadBest*>(partials + in.t * blocks);
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((head_sample_kernel<T>), dim3(unsigned(blocks), blocks_for(in.t, kHeadRows)),
              dim3(kHeadThreads), native(stream), partials, best, in, draw, greedy != 0);
    RR_LAUNCH((head_choose_kernel), dim3(blocks_for(in.t, kElementThreads)), dim3(kElementThreads),
              native(stream), token, logprob, entropy, lse, partials, best, in.t, blocks);
  });
}

// ---- from stored logits
// ---------------------------------------------------------------------------
using Mass = unsigned long long;  // units of 2^-40; a vocabulary of 2^23 tokens fits

constexpr int kFilterThreads = 256;
constexpr double kMassUnit = 0x1p40;

// A row's tokens, the logits' order as unsigned numbers, and which of them are left.
struct FilteredRow {
  const float* logits;
  const int32_t* ids;  // null: all tokens
  int64_t count;
  double max, inv_temperature;
  uint32_t threshold = 0;    // tokens with a larger key are left, and with the same key the first
  int64_t ties = INT64_MAX;  // `ties` of them by id
  double least = 0;          // of the weight

  __device__ int32_t id(int64_t i) const { return ids ? ids[i] : int32_t(i); }
  __device__ uint32_t key(int64_t i) const {
    const uint32_t bits = __float_as_uint(logits[id(i)]);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  }
  __device__ double weight(int64_t i) const {
    return exp((double(logits[id(i)]) - max) * inv_temperature);
  }
  __device__ Mass mass(int64_t i) const { return Mass(weight(i) * kMassUnit); }
};

struct FilterShared {
  Mass* bins;     // 256, also the threads' sums
  Mass* numbers;  // 4: what thread 0 tells the others
};

// Sums one number of each thread; every thread gets the result.
__device__ inline Mass block_total(FilterShared s, Mass mine) {
  __syncthreads();
  s.bins[threadIdx.x] = mine;
  __syncthreads();
  for (int half = kFilterThreads / 2; half > 0; half /= 2) {
    if (int(threadIdx.x) < half) s.bins[threadIdx.x] += s.bins[threadIdx.x + half];
    __syncthreads();
  }
  return s.bins[0];
}

// Narrows the row to its most probable tokens whose sum of value(i) reaches `enough`: finds the key
// at which it is reached, highest bits first, and how many tokens of that key are needed.
template <class Value>
__device__ inline void keep_most_probable(FilteredRow& row, FilterShared s, Mass enough,
                                          Value&& value) {
  uint32_t prefix = 0;
  Mass above = 0;  // of all tokens with a larger prefix
  for (int shift = 24; shift >= 0; shift -= 8) {
    __syncthreads();
    s.bins[threadIdx.x] = 0;
    __syncthreads();
    const uint32_t mask = shift == 24 ? 0 : ~uint32_t(0) << (shift + 8);
    for (int64_t i = threadIdx.x; i < row.count; i += kFilterThreads) {
      const uint32_t key = row.key(i);
      if ((key & mask) == prefix && key >= row.threshold)
        atomicAdd(&s.bins[key >> shift & 255], value(i));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int bin = 255;
      while (bin > 0 && above + s.bins[bin] < enough) above += s.bins[bin--];
      s.numbers[0] = Mass(bin);
      s.numbers[1] = above;
    }
    __syncthreads();
    prefix |= uint32_t(s.numbers[0]) << shift;
    above = s.numbers[1];
  }
  // All tokens of the last key have one value; of equal tokens an earlier filter left `ties`.
  Mass one = 0;
  for (int64_t i = threadIdx.x; i < row.count; i += kFilterThreads)
    if (row.key(i) == prefix) one = value(i);
  __syncthreads();
  if (threadIdx.x == 0) s.numbers[2] = 0;
  __syncthreads();
  if (one > 0) s.numbers[2] = one;  // the same number from every thread
  __syncthreads();
  const Mass each = s.numbers[2];
  const int64_t needed =
      each == 0 || enough <= above ? 1 : int64_t((enough - above + each - 1) / each);
  row.ties = row.threshold == prefix && row.ties < needed ? row.ties : needed;
  row.threshold = prefix;
}

// Calls visit(i, mass) for this thread's tokens that are left, ascending; `ties_before`: tokens of
// the threshold's key that earlier threads have.
template <class Visit>
__device__ inline void for_each_left(const FilteredRow& row, int64_t begin, int64_t end,
                                     int64_t ties_before, Visit&& visit) {
  for (int64_t i = begin; i < end; ++i) {
    const uint32_t key = row.key(i);
    if (key < row.threshold) continue;
    if (key == row.threshold && ties_before++ >= row.ties) continue;
    if (row.weight(i) < row.least) continue;
    if (!visit(i, row.mass(i))) return;
  }
}

// Index of the first token left whose cumulative mass exceeds u times the whole, ids ascending. A
// thread has a run of neighbouring tokens.
__device__ inline int64_t draw_left(const FilteredRow& row, FilterShared s, double u) {
  const int64_t per = (row.count + kFilterThreads - 1) / kFilterThreads;
  const int64_t begin = per * threadIdx.x < row.count ? per * threadIdx.x : row.count;
  const int64_t end = begin + per < row.count ? begin + per : row.count;
  Mass equal = 0;
  for (int64_t i = begin; i < end; ++i) equal += row.key(i) == row.threshold;
  __syncthreads();
  s.bins[threadIdx.x] = equal;
  __syncthreads();
  int64_t ties_before = 0;
  for (unsigned i = 0; i < threadIdx.x; ++i) ties_before += int64_t(s.bins[i]);
  Mass mine = 0;
  for_each_left(row, begin, end, ties_before, [&](int64_t, Mass mass) {
    mine += mass;
    return true;
  });
  __syncthreads();
  s.bins[threadIdx.x] = mine;
  __syncthreads();
  Mass before = 0, whole = 0;
  for (unsigned i = 0; i < unsigned(kFilterThreads); ++i) {
    if (i < threadIdx.x) before += s.bins[i];
    whole += s.bins[i];
  }
  const Mass wanted = Mass(u * double(whole));  // below `whole`
  if (before <= wanted && wanted < before + mine) {
    Mass sum = before;
    for_each_left(row, begin, end, ties_before, [&](int64_t i, Mass mass) {
      sum += mass;
      if (sum <= wanted) return true;
      s.numbers[3] = Mass(i);
      return false;
    });
  }
  __syncthreads();
  return int64_t(s.numbers[3]);
}

__global__ void __launch_bounds__(kFilterThreads)
    head_filter_kernel(int32_t* token, float* logprob, const float* logits, const float* lse,
                       HeadInput in, DrawInput draw, FilterInput filter) {
  RR_SHARED(Mass, bins, kFilterThreads);
  RR_SHARED(Mass, numbers, 4);
  const FilterShared s{bins, numbers};
  const int64_t at = blockIdx.x;
  const bool limited = restricted(in, at);
  FilteredRow row;
  row.logits = logits + at * in.v;
  row.ids = limited ? in.allowed_ids + in.allowed_begin[at] : nullptr;
  row.count = limited ? in.allowed_begin[at + 1] - in.allowed_begin[at] : in.v;
  // The largest logit, of the smallest id: the key above, the id's complement below.
  Mass best = 0;
  for (int64_t i = threadIdx.x; i < row.count; i += kFilterThreads) {
    const Mass mine = Mass(row.key(i)) << 32 | (0xFFFFFFFFu - uint32_t(i));
    best = mine > best ? mine : best;
  }
  bins[threadIdx.x] = best;
  __syncthreads();
  for (int half = kFilterThreads / 2; half > 0; half /= 2) {
    if (int(threadIdx.x) < half && bins[threadIdx.x + half] > bins[threadIdx.x])
      bins[threadIdx.x] = bins[threadIdx.x + half];
    __syncthreads();
  }
  int64_t chosen = int64_t(0xFFFFFFFFu - uint32_t(bins[0]));
  row.max = double(row.logits[row.id(chosen)]);
  row.inv_temperature = double(in.inv_temperature);
  if (!filter.greedy) {
    if (filter.top_k > 0 && filter.top_k < row.count)
      keep_most_probable(row, s, Mass(filter.top_k), [](int64_t) { return Mass(1); });
    if (filter.top_p < 1) {
      // What top-k left of ties counts once each, so its mass is taken over what is left.
      Mass mine = 0;
      Mass equal = 0, equal_mass = 0;
      for (int64_t i = threadIdx.x; i < row.count; i += kFilterThreads) {
        const uint32_t key = row.key(i);
        if (key > row.threshold) mine += row.mass(i);
        if (key == row.threshold) {
          ++equal;
          equal_mass = row.mass(i);
        }
      }
      const Mass larger = block_total(s, mine), equals = block_total(s, equal);
      const Mass kept = Mass(row.ties) < equals ? Mass(row.ties) : equals;
      const Mass whole =
          larger + block_total(s, equal_mass * equal) / (equals > 0 ? equals : 1) * kept;
      const Mass enough = Mass(double(filter.top_p) * double(whole));
      keep_most_probable(row, s, enough > 0 ? enough : 1, [&](int64_t i) { return row.mass(i); });
    }
    row.least = double(filter.min_p);
    chosen = draw_left(row, s,
                       philox_uniform(draw.seed, draw.streams[at], uint64_t(draw.positions[at])));
  }
  if (threadIdx.x != 0) return;
  const int32_t id = row.id(chosen);
  token[at] = id;
  logprob[at] = row.logits[id] * in.inv_temperature - lse[at];
}

int32_t head_sample_filtered(Stream stream, int32_t* token, float* logprob, const float* logits,
                             const float* lse, HeadInput in, DrawInput draw, FilterInput filter) {
  if (in.t == 0) return cudaSuccess;
  RR_LAUNCH((head_filter_kernel), dim3(unsigned(in.t)), dim3(kFilterThreads), native(stream), token,
            logprob, logits, lse, in, draw, filter);
  return cudaGetLastError();
}

}  // namespace

void fill_head_sample(Table& table) {
  table.head_sample = head_sample;
  table.head_sample_filtered = head_sample_filtered;
}

}  // namespace reasonrec::cuda
