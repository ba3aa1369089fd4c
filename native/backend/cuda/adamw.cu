// AdamW over one flat buffer, and the squared norm of the gradient that it clips by. The norm stays
// on the device, so a step needs no answer from the host. Bound by bytes: 28 per parameter.
//   w *= 1 - lr wd;  m += (g - m)(1 - b1);  v = v b2 + (1 - b2) g g
//   w -= (lr / (1 - b1^step)) * m / (sqrt(v) / sqrt(1 - b2^step) + eps)
#include <cmath>

#include "backend/cuda/device/numbers.cuh"

namespace reasonrec::cuda {
namespace {

constexpr int64_t kNormBlock = 4096;
constexpr int kNormThreads = 128;

// Adds 128 values of a block in one order; thread 0 has the sum.
__device__ inline double block_sum(double v, double* shared) {
  shared[threadIdx.x] = v;
  __syncthreads();
  for (int half = kNormThreads / 2; half > 0; half /= 2) {
    if (int(threadIdx.x) < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

__global__ void squares_kernel(double* part, const float* x, int64_t n) {
  RR_SHARED(double, sums, kNormThreads);
  const int64_t begin = blockIdx.x * kNormBlock;
  const int64_t end = begin + kNormBlock < n ? begin + kNormBlock : n;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kNormThreads)
    sum += double(x[i]) * double(x[i]);
  const double total = block_sum(sum, sums);
  if (threadIdx.x == 0) part[blockIdx.x] = total;
}

__global__ void total_kernel(double* total, const double* part, int64_t count) {
  RR_SHARED(double, sums, kNormThreads);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kNormThreads) sum += part[i];
  const double all = block_sum(sum, sums);
  if (threadIdx.x == 0) *total = all;
}

struct AdamwFactors {
  float decay, rate, root, one_b1, one_b2, b2, eps, clip;
};

__global__ void adamw_kernel(float* w, float* m, float* v, const float* g, int64_t n,
                             AdamwFactors f, const double* squares) {
  const int64_t i = element_index();
  if (i >= n) return;
  const double norm = sqrt(*squares);
  if (!(norm < double(INFINITY))) return;  // NaN too
  const float scale = f.clip > 0 ? float(fmin(1.0, double(f.clip) / (norm + 1e-6))) : 1.0f;
  const float grad = g[i] * scale;
  const float first = m[i] + (grad - m[i]) * f.one_b1;
  const float second = v[i] * f.b2 + grad * grad * f.one_b2;
  m[i] = first;
  v[i] = second;
  w[i] = w[i] * f.decay + f.rate * (first / (sqrtf(second) / f.root + f.eps));
}

int32_t sum_of_squares(Stream stream, double* sum, double* scratch, const float* x, int64_t n) {
  const unsigned blocks = blocks_for(n, kNormBlock);
  if (blocks > 0)
    RR_LAUNCH((squares_kernel), dim3(blocks), dim3(kNormThreads), native(stream), scratch, x, n);
  RR_LAUNCH((total_kernel), dim3(1), dim3(kNormThreads), native(stream), sum, scratch,
            int64_t(blocks));
  return cudaGetLastError();
}

int32_t adamw(Stream stream, float* w, float* m, float* v, const float* g, int64_t n, float lr,
              float beta1, float beta2, float eps, float weight_decay, float clip,
              const double* squares, int64_t step) {
  if (n == 0) return cudaSuccess;
  const double correction1 = 1.0 - std::pow(double(beta1), double(step));
  const double correction2 = 1.0 - std::pow(double(beta2), double(step));
  const AdamwFactors f{float(1.0 - double(lr) * double(weight_decay)),
                       float(-double(lr) / correction1),
                       float(std::sqrt(correction2)),
                       float(1.0 - double(beta1)),
                       float(1.0 - double(beta2)),
                       beta2,
                       eps,
                       clip};
  RR_LAUNCH((adamw_kernel), dim3(blocks_for(n, kElementThreads)), dim3(kElementThreads),
            native(stream), w, m, v, g, n, f, squares);
  return cudaGetLastError();
}

}  // namespace

void fill_adamw(Table& table) {
  table.sum_of_squares = sum_of_squares;
  table.adamw = adamw;
}

}  // namespace reasonrec::cuda
