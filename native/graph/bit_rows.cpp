// The bodies are compiled twice on x86-64: its baseline has no instruction that counts bits, nearly
// every machine has one. Both give the same integers.
#include "graph/bit_rows.h"

#include <bit>

#define RR_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
#define RR_COUNTING __attribute__((target("popcnt")))
#endif

namespace reasonrec {
namespace {

RR_INLINE int32_t count_body(const uint64_t* a, const uint64_t* b, int64_t words) {
  int64_t sum = 0;
  for (int64_t w = 0; w < words; ++w) sum += std::popcount(a[w] & b[w]);
  return int32_t(sum);
}

RR_INLINE CommonItem nth_body(const uint64_t* a, const uint64_t* b, int64_t words, int64_t n) {
  int64_t before = 0;  // items of b in earlier words
  for (int64_t w = 0; w < words; ++w) {
    uint64_t common = a[w] & b[w];
    const int64_t here = std::popcount(common);
    if (n >= here) {
      n -= here;
      before += std::popcount(b[w]);
      continue;
    }
    for (; n > 0; --n) common &= common - 1;
    const uint64_t below = (common & -common) - 1;
    return {int32_t(64 * w + std::countr_zero(common)),
            int32_t(before + std::popcount(b[w] & below))};
  }
  return {-1, -1};
}

RR_INLINE int32_t list_body(CommonItem* out, const uint64_t* a, const uint64_t* b, int64_t words) {
  int32_t n = 0;
  int64_t before = 0;
  for (int64_t w = 0; w < words; ++w) {
    for (uint64_t common = a[w] & b[w]; common != 0; common &= common - 1) {
      const uint64_t below = (common & -common) - 1;
      out[n++] = {int32_t(64 * w + std::countr_zero(common)),
                  int32_t(before + std::popcount(b[w] & below))};
    }
    before += std::popcount(b[w]);
  }
  return n;
}

#ifdef RR_COUNTING
RR_COUNTING int32_t fast_count(const uint64_t* a, const uint64_t* b, int64_t words) {
  return count_body(a, b, words);
}
RR_COUNTING CommonItem fast_nth(const uint64_t* a, const uint64_t* b, int64_t words, int64_t n) {
  return nth_body(a, b, words, n);
}
RR_COUNTING int32_t fast_list(CommonItem* out, const uint64_t* a, const uint64_t* b,
                              int64_t words) {
  return list_body(out, a, b, words);
}
const bool counts_bits = __builtin_cpu_supports("popcnt");
#endif

}  // namespace

int32_t count_common(const uint64_t* a, const uint64_t* b, int64_t words) {
#ifdef RR_COUNTING
  if (counts_bits) return fast_count(a, b, words);
#endif
  return count_body(a, b, words);
}

CommonItem nth_common(const uint64_t* a, const uint64_t* b, int64_t words, int64_t n) {
#ifdef RR_COUNTING
  if (counts_bits) return fast_nth(a, b, words, n);
#endif
  return nth_body(a, b, words, n);
}

int32_t list_common(CommonItem* out, const uint64_t* a, const uint64_t* b, int64_t words) {
#ifdef RR_COUNTING
  if (counts_bits) return fast_list(out, a, b, words);
#endif
  return list_body(out, a, b, words);
}

}  // namespace reasonrec
