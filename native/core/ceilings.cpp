// Ceilings: sixteen independent accumulators in registers hide the latency of a multiply-add, and a
// sum over an array larger than the caches is bound by memory.
#include "core/ceilings.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/check.h"
#include "core/pages.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace reasonrec {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kAccumulators = 16;
constexpr int64_t kPasses = 20000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Units per second of the best run of `run`, each on every worker at once.
double best_rate(ThreadPool& pool, double seconds, double units,
                 const std::function<void(int64_t task)>& run) {
  double best = 0;
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    pool.parallel_for(pool.size(), [&](int64_t task, int) { run(task); });
    best = std::max(best, units / seconds_since(start));
  } while (seconds_since(begin) < seconds);
  return best;
}

// Kept where the compiler cannot see that nobody reads it.
volatile float kept;

// Operations of one pass.
struct Probe {
  double operations;
  void (*run)();
};

void plain_multiply_add() {
  float sums[64] = {};
  for (int64_t pass = 0; pass < kPasses; ++pass)
    for (float& sum : sums) sum = sum * 0.999f + 1.0f;
  for (const float sum : sums) kept = sum;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void avx2_multiply_add() {
  __m256 sums[kAccumulators], factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(1.0f);
  for (__m256& sum : sums) sum = term;
  for (int64_t pass = 0; pass < kPasses; ++pass) {
#pragma GCC unroll 16
    for (int i = 0; i < 12; ++i) sums[i] = _mm256_fmadd_ps(sums[i], factor, term);
  }
  for (const __m256& sum : sums) kept = _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) void avx512_multiply_add() {
  __m512 sums[kAccumulators], factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(1.0f);
  for (__m512& sum : sums) sum = term;
  for (int64_t pass = 0; pass < kPasses; ++pass) {
#pragma GCC unroll 16
    for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm512_fmadd_ps(sums[i], factor, term);
  }
  for (const __m512& sum : sums) kept = _mm512_cvtss_f32(sum);
}

__attribute__((target("avx512f,avx512bw,avx512bf16"))) void bf16_pairs() {
  const __m512bh factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
  const __m512bh term = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0f), _mm512_set1_ps(2.0f));
  __m512 sums[kAccumulators];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t pass = 0; pass < kPasses; ++pass) {
#pragma GCC unroll 16
    for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], factor, term);
  }
  for (const __m512& sum : sums) kept = _mm512_cvtss_f32(sum);
}

__attribute__((target("avx512f,avx512vnni"))) void int8_quads() {
  const __m512i factor = _mm512_set1_epi8(1), term = _mm512_set1_epi8(3);
  __m512i sums[kAccumulators];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (int64_t pass = 0; pass < kPasses; ++pass) {
#pragma GCC unroll 16
    for (int i = 0; i < kAccumulators; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], factor, term);
  }
  for (const __m512i& sum : sums) kept = float(_mm_cvtsi128_si32(_mm512_castsi512_si128(sum)));
}
#endif

Probe fp32_probe() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return {2.0 * 16 * kAccumulators * kPasses, avx512_multiply_add};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {2.0 * 8 * 12 * kPasses, avx2_multiply_add};
#endif
  return {2.0 * 64 * kPasses, plain_multiply_add};
}

Probe bf16_probe() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16")) return {4.0 * 16 * kAccumulators * kPasses, bf16_pairs};
#endif
  return {0, nullptr};
}

Probe int8_probe() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vnni")) return {8.0 * 16 * kAccumulators * kPasses, int8_quads};
#endif
  return {0, nullptr};
}

double arithmetic(ThreadPool& pool, double seconds, const Probe& probe) {
  if (!probe.run) return 0;
  return best_rate(pool, seconds, probe.operations * pool.size(), [&](int64_t) { probe.run(); });
}

// Eight sums of 64-bit words: any compiler makes wide loads of it.
uint64_t sum_of(const uint64_t* words, int64_t count) {
  uint64_t sums[32] = {};
  for (int64_t i = 0; i + 32 <= count; i += 32)
    for (int j = 0; j < 32; ++j) sums[j] += words[i + j];
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

double reading(ThreadPool& pool, double seconds, int64_t bytes) {
  void* const memory = map_pages(size_t(bytes));
  check(memory != nullptr, "RR_OUT_OF_MEMORY", "the array to read does not fit in memory");
  auto* const words = static_cast<uint64_t*>(memory);
  const int64_t share = bytes / 8 / pool.size();
  // Written first: pages that were never touched are one page of zeros.
  pool.parallel_for(pool.size(), [&](int64_t task, int) {
    for (int64_t i = 0; i < share; ++i) words[task * share + i] = uint64_t(i) * 0x9E3779B97F4A7C15u;
  });
  const double rate = best_rate(pool, seconds, double(8 * share * pool.size()), [&](int64_t task) {
    kept = float(sum_of(words + task * share, share));
  });
  unmap_pages(memory, size_t(bytes));
  return rate;
}

}  // namespace

Ceilings measure_ceilings(ThreadPool& pool, double seconds, int64_t bytes) {
  Ceilings out;
  out.read = reading(pool, seconds, bytes);
  out.fp32 = arithmetic(pool, seconds, fp32_probe());
  out.bf16 = arithmetic(pool, seconds, bf16_probe());
  out.int8 = arithmetic(pool, seconds, int8_probe());
  return out;
}

}  // namespace reasonrec
