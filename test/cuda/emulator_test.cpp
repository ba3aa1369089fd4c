// The emulator itself: what it computes, and that it finds the faults it is there to find.
#include <functional>
#include <string>
#include <vector>

#include "backend/cuda/device/platform.h"
#include "harness.h"

namespace reasonrec::test {
namespace {

void index_kernel(int* out) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += int(1000 * block + thread);
}

// out[block] = sum of the block's inputs: a warp sum, then a sum over warps through shared memory.
void sum_kernel(float* out, const float* in) {
  RR_SHARED(float, part, 8);
  float v = in[blockIdx.x * blockDim.x + threadIdx.x];
  for (int o = 16; o > 0; o /= 2) v += __shfl_xor_sync(~0u, v, o);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x == 0) {
    float total = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) total += part[w];
    out[blockIdx.x] = total;
  }
}

// Every thread reads what thread 0 wrote; without the barrier only an ascending order gets it.
void broadcast_kernel(float* out, float value, bool barrier) {
  RR_SHARED(float, box, 1);
  if (threadIdx.x == 0) box[0] = value;
  if (barrier) __syncthreads();
  out[threadIdx.x] = box[0];
}

// Rounds of write, barrier, read: without the second barrier a fast thread overwrites too early.
void rounds_kernel(float* out, bool second) {
  RR_SHARED(float, box, 1);
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    if (threadIdx.x == unsigned(round)) box[0] = float(round + 1);
    __syncthreads();
    sum += box[0];
    if (second) __syncthreads();
  }
  out[threadIdx.x] = sum;
}

// The same fault, hidden where warps go in step: some warp operations lie between read and write.
void ahead_kernel(float* out) {
  RR_SHARED(float, box, 1);
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    if (threadIdx.x == unsigned(32 * round)) box[0] = float(round + 1);
    __syncthreads();
    for (int i = 0; i < 4; ++i) __syncwarp();
    sum += box[0];
    for (int i = 0; i < 4; ++i) __syncwarp();
  }
  out[threadIdx.x] = sum;
}

void diverging_kernel() {
  if (threadIdx.x < 40)
    __syncthreads();
  else
    __syncthreads();
}
void leaving_kernel() {
  if (threadIdx.x == 3) return;
  __syncthreads();
}
void half_warp_kernel() {
  if (threadIdx.x < 16) __shfl_xor_sync(~0u, 1, 1);
}

std::string failure(const std::function<void()>& run) {
  try {
    run();
  } catch (const emu::Error& e) {
    return e.what();
  }
  return "";
}
bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

template <class Run>
std::vector<float> output(Run&& run, size_t n = 64) {
  std::vector<float> out(n, -1);
  run(out.data());
  return out;
}

constexpr uint64_t kSeeds = 8;

}  // namespace

RR_TEST("emulator: every thread of every block runs once, in any order") {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    emu::set_seed(seed);
    std::vector<int> out(3 * 2 * 2 * 5 * 4 * 2, 0);
    RR_LAUNCH(index_kernel, dim3(3, 2, 2), dim3(5, 4, 2), nullptr, out.data());
    for (int i = 0; i < int(out.size()); ++i)
      expect(out[size_t(i)] == 1000 * (i / 40) + i % 40, "element " + std::to_string(i));
  }
}

RR_TEST("emulator: shuffles, shared memory and barriers give one sum under every order") {
  Random random(7);
  const std::vector<float> in = random.normals(4 * 256);
  std::vector<float> first;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    emu::set_seed(seed);
    std::vector<float> out(4, -1);
    RR_LAUNCH(sum_kernel, dim3(4), dim3(256), nullptr, out.data(), in.data());
    if (seed == 0) first = out;
    expect_same_bits(out.data(), first.data(), 4, "seed " + std::to_string(seed));
    double want = 0;
    for (int i = 0; i < 256; ++i) want += double(in[size_t(i)]);
    expect(std::fabs(double(out[0]) - want) < 1e-4, "the sum");
  }
}

RR_TEST("emulator: a missing barrier fails in some order, and the kernel with it in none") {
  int wrong = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    emu::set_seed(seed);
    const auto right = output([](float* out) {
      RR_LAUNCH(broadcast_kernel, dim3(1), dim3(64), nullptr, out, 5.0f, true);
    });
    const auto missing = output([](float* out) {
      RR_LAUNCH(broadcast_kernel, dim3(1), dim3(64), nullptr, out, 5.0f, false);
    });
    for (const float x : right) expect(x == 5, "with the barrier");
    wrong += missing != right;
    if (seed == 0)
      expect(missing == right, "ascending order hides the fault: that is why it is shuffled");
  }
  expect(wrong > 0, "no order shows the missing barrier");
}

RR_TEST("emulator: shared memory overwritten too early is seen") {
  int wrong = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    emu::set_seed(seed);
    for (const float x : output(
             [](float* out) { RR_LAUNCH(rounds_kernel, dim3(1), dim3(64), nullptr, out, true); }))
      expect(x == 6, "with both barriers");
    for (const float x : output(
             [](float* out) { RR_LAUNCH(rounds_kernel, dim3(1), dim3(64), nullptr, out, false); }))
      wrong += x != 6;
  }
  expect(wrong > 0, "no order shows the missing second barrier");
}

RR_TEST("emulator: a warp that runs ahead of the others is seen under even seeds") {
  int in_step = 0, ahead = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    emu::set_seed(seed);
    for (const float x :
         output([](float* out) { RR_LAUNCH(ahead_kernel, dim3(1), dim3(96), nullptr, out); }, 96))
      (seed > 0 && seed % 2 == 0 ? ahead : in_step) += x != 6;
  }
  expect(in_step == 0, "warps in step hide the fault: that is why they also go one by one");
  expect(ahead > 0, "no order shows the missing barrier");
}

RR_TEST("emulator: shared memory starts as NaN in every block") {
  emu::set_seed(1);
  std::vector<float> out(1, 0);
  const auto kernel = [](float* to) {
    RR_SHARED(float, box, 1);
    to[0] = box[0];
    box[0] = 1;
  };
  for (int i = 0; i < 2; ++i) {
    RR_LAUNCH(kernel, dim3(2), dim3(1), nullptr, out.data());
    expect(std::isnan(out[0]), "NaN");
  }
}

RR_TEST("emulator: barrier and warp divergence are reported with kernel and place") {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    emu::set_seed(seed);
    const std::string places =
        failure([] { RR_LAUNCH(diverging_kernel, dim3(1), dim3(64), nullptr); });
    expect(contains(places, "diverging_kernel: barrier divergence") &&
               contains(places, "emulator_test.cpp:"),
           places);
    const std::string left = failure([] { RR_LAUNCH(leaving_kernel, dim3(1), dim3(64), nullptr); });
    expect(contains(left, "barrier divergence") && contains(left, "1 of 64 have left"), left);
    const std::string half =
        failure([] { RR_LAUNCH(half_warp_kernel, dim3(1), dim3(32), nullptr); });
    expect(contains(half, "half_warp_kernel") && contains(half, "16 of 32 have left"), half);
    const std::string odd =
        failure([] { RR_LAUNCH(half_warp_kernel, dim3(1), dim3(24), nullptr); });
    expect(contains(odd, "no whole warps"), odd);
  }
  // The next launch is not harmed by one that failed.
  emu::set_seed(3);
  for (const float x : output([](float* out) {
         RR_LAUNCH(broadcast_kernel, dim3(1), dim3(64), nullptr, out, 2.0f, true);
       }))
    expect(x == 2, "after a failure");
}

RR_TEST("emulator: bf16 rounds to nearest, ties to even") {
  const auto round = [](float x) { return __bfloat162float(__float2bfloat16(x)); };
  expect(round(1.0f) == 1.0f && round(1.00390625f) == 1.0f, "half way goes to the even one, down");
  expect(round(1.01171875f) == 1.015625f, "half way goes to the even one, up");
  expect(std::isnan(round(NAN)) && round(INFINITY) == INFINITY, "NaN and infinity stay");
}

}  // namespace reasonrec::test
