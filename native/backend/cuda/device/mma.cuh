// A warp's product of fragments, D (16, 8) += A (16, 16) B (16, 8), fp32 accumulators.
//
// Who holds what, for lane = 4 g + t (g 0..7, t 0..3), each register a Pair of neighbours along k:
//   A: r[0] (row g, k 2t), r[1] (row g + 8, k 2t), r[2] (row g, k 2t + 8), r[3] (row g + 8, 2t + 8)
//   B: r[0] (k 2t, column g), r[1] (k 2t + 8, column g)
//   D: d[0], d[1] (row g, columns 2t, 2t + 1), d[2], d[3] (row g + 8, the same columns)
// bf16: mma.sync.m16n8k16 of sm_80 and later. fp32, for finding faults: the same fragments and the
// same k order by shuffles, slow. Under the emulator both are plain loops, k ascending.
#pragma once
#include <cstring>

#include "backend/cuda/device/numbers.cuh"

namespace reasonrec::cuda {

inline constexpr int kMmaRows = 16, kMmaColumns = 8, kMmaDepth = 16;

template <class T>
struct FragmentA {
  Pair<T> r[4];
};
template <class T>
struct FragmentB {
  Pair<T> r[2];
};

// From rows of k, `stride` values apart: rows g and g + 8 from `at`. Pairs are aligned.
template <class T>
__device__ inline Pair<T> load_pair(const T* at) {
  return *reinterpret_cast<const Pair<T>*>(at);
}
template <class T>
__device__ inline FragmentA<T> load_a(const T* at, int stride, int lane) {
  const T* p = at + lane / 4 * stride + lane % 4 * 2;
  return {
      {load_pair(p), load_pair(p + 8 * stride), load_pair(p + 8), load_pair(p + 8 * stride + 8)}};
}
// B from rows of columns n that hold k side by side.
template <class T>
__device__ inline FragmentB<T> load_b(const T* at, int stride, int lane) {
  const T* p = at + lane / 4 * stride + lane % 4 * 2;
  return {{load_pair(p), load_pair(p + 8)}};
}
// B from rows of k that hold columns n side by side.
template <class T>
__device__ inline FragmentB<T> load_b_transposed(const T* at, int stride, int lane) {
  const T* p = at + lane % 4 * 2 * stride + lane / 4;
  return {{{p[0], p[stride]}, {p[8 * stride], p[9 * stride]}}};
}

// The accumulators of two neighbouring column tiles as A of a further product (k = 16 columns).
template <class T>
__device__ inline FragmentA<T> as_a(const float left[4], const float right[4]) {
  return {{narrow_pair<T>(left[0], left[1]), narrow_pair<T>(left[2], left[3]),
           narrow_pair<T>(right[0], right[1]), narrow_pair<T>(right[2], right[3])}};
}

// D by shuffles: the element (row, k) of A lies in lane 4 (row % 8) + (k % 8) / 2.
__device__ inline void mma_by_shuffles(float d[4], const FragmentA<float>& a,
                                       const FragmentB<float>& b) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  RR_UNROLL
  for (int half = 0; half < 2; ++half) {
    const Pair<float> top = a.r[2 * half], bottom = a.r[2 * half + 1], column = b.r[half];
    RR_NO_UNROLL
    for (int k = 0; k < 8; ++k) {
      const int from = k / 2;
      const float x0 = __shfl_sync(kAllLanes, k % 2 ? top.high : top.low, 4 * g + from);
      const float x1 = __shfl_sync(kAllLanes, k % 2 ? bottom.high : bottom.low, 4 * g + from);
      const float y = k % 2 ? column.high : column.low;
      const float y0 = __shfl_sync(kAllLanes, y, 4 * (2 * t) + from);
      const float y1 = __shfl_sync(kAllLanes, y, 4 * (2 * t + 1) + from);
      d[0] += x0 * y0;
      d[1] += x0 * y1;
      d[2] += x1 * y0;
      d[3] += x1 * y1;
    }
  }
}

#if defined(__CUDACC__)
__device__ inline void mma(float d[4], const FragmentA<float>& a, const FragmentB<float>& b) {
  mma_by_shuffles(d, a, b);
}
__device__ inline void mma(float d[4], const FragmentA<bf16>& a, const FragmentB<bf16>& b) {
  uint32_t x[4], y[2];
  memcpy(x, a.r, sizeof x);
  memcpy(y, b.r, sizeof y);
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
}
#else
template <class T>
inline void mma(float d[4], const FragmentA<T>& a, const FragmentB<T>& b) {
  struct Fragments {
    FragmentA<T> a;
    FragmentB<T> b;
  };
  const Fragments mine{a, b};
  const char* slots = emu::warp_exchange(&mine, sizeof mine, RR_EMU_SITE);
  Fragments all[32];
  std::memcpy(all, slots, sizeof all);
  const int lane = int(emu::lane()), g = lane / 4, t = lane % 4;
  const auto pick = [](const Pair<T>& p, int k) { return widen(k % 2 ? p.high : p.low); };
  for (int k = 0; k < kMmaDepth; ++k) {
    const int from = k % 8 / 2, half = k / 8;
    for (int i = 0; i < 4; ++i) {
      const float x = pick(all[4 * g + from].a.r[2 * half + i / 2], k);
      const float y = pick(all[4 * (2 * t + i % 2) + from].b.r[half], k);
      d[i] += x * y;
    }
  }
}
#endif

}  // namespace reasonrec::cuda
