// RMS normalisation (ops/rmsnorm.h). One warp a row, four rows a block; lane l adds elements l,
// l + 32, ... and the lanes are added in one order. Bytes: forward reads x and writes y; backward
// reads dy and x and reads and writes dx. The second read of a row comes from the cache.
#include "backend/cuda/device/numbers.cuh"

namespace reasonrec::cuda {
namespace {

constexpr int kRowsPerBlock = 4;

template <class Y, class X>
__global__ void rmsnorm_forward_kernel(Y* y, float* inv_rms, const X* x, const float* w, int64_t t,
                                       int64_t h, float eps) {
  const int lane = threadIdx.x % 32;
  const int64_t row = int64_t(blockIdx.x) * kRowsPerBlock + threadIdx.x / 32;
  if (row >= t) return;
  const X* in = x + row * h;
  float sum = 0;
  for (int64_t j = lane; j < h; j += 32) {
    const float v = widen(in[j]);
    sum += v * v;
  }
  const float r = 1.0f / sqrtf(warp_sum(sum) / float(h) + eps);
  if (inv_rms && lane == 0) inv_rms[row] = r;
  for (int64_t j = lane; j < h; j += 32) y[row * h + j] = narrow<Y>(widen(in[j]) * r * w[j]);
}

template <class DX, class DY, class X>
__global__ void rmsnorm_backward_kernel(DX* dx, const DY* dy, const X* x, const float* w,
                                        const float* inv_rms, int64_t t, int64_t h,
                                        bool accumulate) {
  const int lane = threadIdx.x % 32;
  const int64_t row = int64_t(blockIdx.x) * kRowsPerBlock + threadIdx.x / 32;
  if (row >= t) return;
  const X* in = x + row * h;
  const DY* up = dy + row * h;
  const float r = inv_rms[row];
  float sum = 0;
  for (int64_t j = lane; j < h; j += 32) sum += widen(up[j]) * w[j] * (widen(in[j]) * r);
  const float mean = warp_sum(sum) / float(h);
  for (int64_t j = lane; j < h; j += 32) {
    const float d = r * (widen(up[j]) * w[j] - widen(in[j]) * r * mean);
    DX* out = dx + row * h + j;
    *out = narrow<DX>(accumulate ? widen(*out) + d : d);
  }
}

// dw += sum over rows of dy xhat, ascending: a thread takes a column. Full-parameter mode only.
template <class DY, class X>
__global__ void rmsnorm_weight_kernel(float* dw, const DY* dy, const X* x, const float* inv_rms,
                                      int64_t t, int64_t h) {
  const int64_t j = element_index();
  if (j >= h) return;
  float total = dw[j];
  for (int64_t row = 0; row < t; ++row)
    total += widen(dy[row * h + j]) * (widen(x[row * h + j]) * inv_rms[row]);
  dw[j] = total;
}

int32_t rmsnorm_forward(Stream stream, DataType y_type, void* y, float* inv_rms, DataType x_type,
                        const void* x, const float* w, int64_t t, int64_t h, float eps) {
  if (t == 0) return cudaSuccess;
  return with_type(y_type, [&](auto y_tag) {
    using Y = decltype(y_tag);
    return with_type(x_type, [&](auto x_tag) {
      using X = decltype(x_tag);
      RR_LAUNCH((rmsnorm_forward_kernel<Y, X>), dim3(blocks_for(t, kRowsPerBlock)),
                dim3(kRowsPerBlock * 32), native(stream), static_cast<Y*>(y), inv_rms,
                static_cast<const X*>(x), w, t, h, eps);
    });
  });
}

int32_t rmsnorm_backward(Stream stream, DataType dx_type, void* dx, float* dw, DataType dy_type,
                         const void* dy, DataType x_type, const void* x, const float* w,
                         const float* inv_rms, int64_t t, int64_t h, int32_t accumulate) {
  if (t == 0) return cudaSuccess;
  return with_type(dx_type, [&](auto dx_tag) {
    using DX = decltype(dx_tag);
    return with_type(dy_type, [&](auto dy_tag) {
      using DY = decltype(dy_tag);
      return with_type(x_type, [&](auto x_tag) {
        using X = decltype(x_tag);
        if (dw)  // before dx, which may overwrite dy
          RR_LAUNCH((rmsnorm_weight_kernel<DY, X>), dim3(blocks_for(h, kElementThreads)),
                    dim3(kElementThreads), native(stream), dw, static_cast<const DY*>(dy),
                    static_cast<const X*>(x), inv_rms, t, h);
        RR_LAUNCH((rmsnorm_backward_kernel<DX, DY, X>), dim3(blocks_for(t, kRowsPerBlock)),
                  dim3(kRowsPerBlock * 32), native(stream), static_cast<DX*>(dx),
                  static_cast<const DY*>(dy), static_cast<const X*>(x), w, inv_rms, t, h,
                  accumulate != 0);
      });
    });
  });
}

}  // namespace

void fill_rmsnorm(Table& table) {
  table.rmsnorm_forward = rmsnorm_forward;
  table.rmsnorm_backward = rmsnorm_backward;
}

}  // namespace reasonrec::cuda
