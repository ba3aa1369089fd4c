// Element-wise kernels and moves of whole rows. All are bound by bytes: each value is read once and
// written once, neighbouring threads take neighbouring values.
#include "backend/cuda/device/numbers.cuh"
#include "core/philox.h"

namespace reasonrec::cuda {
namespace {

template <class To, class From>
__global__ void convert_kernel(To* to, const From* from, int64_t n) {
  const int64_t i = element_index();
  if (i < n) to[i] = narrow<To>(widen(from[i]));
}

template <class T>
__global__ void add_kernel(float* y, const T* x, int64_t n) {
  const int64_t i = element_index();
  if (i < n) y[i] += widen(x[i]);
}

template <class T>
__global__ void scale_kernel(T* y, float s, int64_t n) {
  const int64_t i = element_index();
  if (i < n) y[i] = narrow<T>(widen(y[i]) * s);
}

template <class T>
__global__ void sum_rows_kernel(float* sum, const T* x, int64_t t, int64_t n) {
  const int64_t j = element_index();
  if (j >= n) return;
  float total = sum[j];
  for (int64_t row = 0; row < t; ++row) total += widen(x[row * n + j]);
  sum[j] = total;
}

// One block a row, so that a row's index is read once per warp.
template <class T>
__global__ void move_rows_kernel(T* to, const int32_t* to_rows, const T* from,
                                 const int32_t* from_rows, int64_t width) {
  const int64_t i = blockIdx.x;
  T* target = to + (to_rows ? to_rows[i] : i) * width;
  const T* source = from + (from_rows ? from_rows[i] : i) * width;
  for (int64_t j = threadIdx.x; j < width; j += kElementThreads) target[j] = source[j];
}

template <class T>
__global__ void scatter_add_rows_kernel(float* to, const int32_t* targets, const int32_t* begin,
                                        const int32_t* sources, const T* from, int64_t width) {
  const int64_t i = blockIdx.x;
  const int32_t first = begin[i], last = begin[i + 1];
  float* target = to + targets[i] * width;
  for (int64_t j = threadIdx.x; j < width; j += kElementThreads) {
    float total = target[j];
    for (int32_t s = first; s < last; ++s) total += widen(from[sources[s] * width + j]);
    target[j] = total;
  }
}

// A thread takes the four elements of one Philox block, those of them that lie in range.
template <class T>
__global__ void dropout_kernel(T* y, const T* x, int64_t first_element, int64_t n, float keep,
                               double limit, uint64_t seed, uint64_t stream_number) {
  const int64_t block = first_element / 4 + element_index();
  if (block * 4 >= first_element + n) return;
  uint32_t words[4];
  philox_words(words, seed, stream_number, uint64_t(block));
  RR_UNROLL
  for (int w = 0; w < 4; ++w) {
    const int64_t i = block * 4 + w - first_element;
    if (i >= 0 && i < n) y[i] = narrow<T>(double(words[w]) >= limit ? widen(x[i]) * keep : 0.0f);
  }
}

int32_t convert(Stream stream, DataType to_type, void* to, DataType from_type, const void* from,
                int64_t n) {
  if (n == 0) return cudaSuccess;
  return with_type(to_type, [&](auto to_tag) {
    using To = decltype(to_tag);
    return with_type(from_type, [&](auto from_tag) {
      using From = decltype(from_tag);
      RR_LAUNCH((convert_kernel<To, From>), dim3(blocks_for(n, kElementThreads)),
                dim3(kElementThreads), native(stream), static_cast<To*>(to),
                static_cast<const From*>(from), n);
    });
  });
}

int32_t add(Stream stream, DataType type, float* y, const void* x, int64_t n) {
  if (n == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((add_kernel<T>), dim3(blocks_for(n, kElementThreads)), dim3(kElementThreads),
              native(stream), y, static_cast<const T*>(x), n);
  });
}

int32_t scale(Stream stream, DataType type, void* y, float s, int64_t n) {
  if (n == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((scale_kernel<T>), dim3(blocks_for(n, kElementThreads)), dim3(kElementThreads),
              native(stream), static_cast<T*>(y), s, n);
  });
}

int32_t sum_rows(Stream stream, DataType type, float* sum, const void* x, int64_t t, int64_t n) {
  if (n == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((sum_rows_kernel<T>), dim3(blocks_for(n, kElementThreads)), dim3(kElementThreads),
              native(stream), sum, static_cast<const T*>(x), t, n);
  });
}

int32_t move_rows(Stream stream, DataType type, void* to, const int32_t* to_rows, const void* from,
                  const int32_t* from_rows, int64_t count, int64_t width) {
  if (count == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((move_rows_kernel<T>), dim3(unsigned(count)), dim3(kElementThreads), native(stream),
              static_cast<T*>(to), to_rows, static_cast<const T*>(from), from_rows, width);
  });
}

int32_t scatter_add_rows(Stream stream, DataType type, float* to, const int32_t* targets,
                         const int32_t* begin, const int32_t* sources, const void* from,
                         int64_t count, int64_t width) {
  if (count == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((scatter_add_rows_kernel<T>), dim3(unsigned(count)), dim3(kElementThreads),
              native(stream), to, targets, begin, sources, static_cast<const T*>(from), width);
  });
}

int32_t dropout(Stream stream, DataType type, void* y, const void* x, int64_t first_element,
                int64_t n, float p, uint64_t seed, uint64_t stream_number) {
  if (n == 0) return cudaSuccess;
  const int64_t blocks = (first_element + n + 3) / 4 - first_element / 4;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((dropout_kernel<T>), dim3(blocks_for(blocks, kElementThreads)), dim3(kElementThreads),
              native(stream), static_cast<T*>(y), static_cast<const T*>(x), first_element, n,
              1.0f / (1.0f - p), double(p) * 4294967296.0, seed, stream_number);
  });
}

}  // namespace

void fill_rows(Table& table) {
  table.convert = convert;
  table.add = add;
  table.scale = scale;
  table.sum_rows = sum_rows;
  table.move_rows = move_rows;
  table.scatter_add_rows = scatter_add_rows;
  table.dropout = dropout;
}

}  // namespace reasonrec::cuda
