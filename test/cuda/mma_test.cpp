// The warp's product of fragments: the layouts against plain loops, and the fp32 way by shuffles
// (what a GPU runs in fp32) against the emulator's.
#include "backend/cuda/device/mma.cuh"

#include <cstddef>
#include <iterator>

#include "harness.h"

namespace reasonrec::test {
namespace {

using cuda::bf16;

template <class T>
void fragment_kernel(float* d, const T* a, const T* b, const T* b_by_k, bool by_shuffles) {
  const int lane = int(threadIdx.x);
  float acc[4] = {1, 2, 3, 4};
  const auto left = cuda::load_a(a, 16, lane);
  const auto right = b ? cuda::load_b(b, 16, lane) : cuda::load_b_transposed(b_by_k, 8, lane);
  if constexpr (std::is_same_v<T, float>) {
    if (by_shuffles)
      cuda::mma_by_shuffles(acc, left, right);
    else
      cuda::mma(acc, left, right);
  } else {
    cuda::mma(acc, left, right);
  }
  for (int e = 0; e < 4; ++e) d[(lane / 4 + e / 2 * 8) * 8 + lane % 4 * 2 + e % 2] = acc[e];
}

template <class T>
void fragment_case(Random& random) {
  alignas(16) T a[16 * 16], b[8 * 16], b_by_k[16 * 8];
  for (T& x : a) x = cuda::narrow<T>(float(random.normal()));
  for (int n = 0; n < 8; ++n)
    for (int k = 0; k < 16; ++k)
      b_by_k[k * 8 + n] = b[n * 16 + k] = cuda::narrow<T>(float(random.normal()));
  std::vector<float> want(128);
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 8; ++n) {
      float sum = float(1 + n % 2 + m / 8 * 2);
      for (int k = 0; k < 16; ++k) sum += cuda::widen(a[m * 16 + k]) * cuda::widen(b[n * 16 + k]);
      want[size_t(m * 8 + n)] = sum;
    }
  for (int way = 0; way < 3; ++way) {
    auto d = nans(128);
    RR_LAUNCH(fragment_kernel<T>, dim3(1), dim3(32), nullptr, d.data(), a, way == 1 ? nullptr : b,
              b_by_k, way == 2);
    expect_same_bits(d.data(), want.data(), 128, "way " + std::to_string(way));
  }
}

}  // namespace

RR_TEST("cuda mma: fragments lie where mma.sync has them, in both layouts and by shuffles") {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    emu::set_seed(seed);
    Random random(141);
    fragment_case<float>(random);
    fragment_case<bf16>(random);
  }
}

RR_TEST("cuda table: every function is there; another ABI gets none") {
  const cuda::Table* table = reasonrec_cuda_table(cuda::kAbi);
  expect(table && table->abi == cuda::kAbi, "the table");
  expect(reasonrec_cuda_table(cuda::kAbi + 1) == nullptr, "another ABI");
  void* slots[(sizeof(cuda::Table) - offsetof(cuda::Table, build)) / sizeof(void*)];
  std::memcpy(slots, &table->build, sizeof slots);
  for (size_t i = 0; i < std::size(slots); ++i)
    expect(slots[i] != nullptr, "entry " + std::to_string(i) + " of the table is empty");
}

}  // namespace reasonrec::test
