// Activations rounded to bf16 for products computed in bf16 (Panels::compute), to the nearest, ties
// to even, NaN and infinity kept. A table whose machine multiplies pairs of bf16 holds them as
// such; every other one holds the rounded values in fp32 and multiplies those, in the same order.
#ifdef REASONREC_PAIR_PRODUCTS
using Rounded = uint16_t;
#else
using Rounded = float;
#endif

// Values from one row to the next: whole cache lines, an odd number of them, so that neighbouring
// rows do not fall on the same cache sets. At least k and, for pairs, one zero more where k is odd.
static inline int64_t rounded_stride(int64_t k) {
  constexpr int64_t kLine = 64 / sizeof(Rounded);
  return ((k + kLine - 1) / kLine | 1) * kLine;
}
static inline int64_t rounded_floats(int64_t m, int64_t k) {
  return m * rounded_stride(k) * int64_t(sizeof(Rounded)) / int64_t(sizeof(float));
}

// To the nearest bf16, ties to even. Finite values only: NaN could become infinite.
static inline uint16_t round_to_bf16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#ifdef REASONREC_PAIR_PRODUCTS
static inline void round_row(uint16_t* to, const float* from, int64_t k) {
  for (int64_t j = 0; j < k; j += kLanes)
    store_rounded_n(to + j, load_n(from + j, k - j), k + k % 2 - j);
}
#else
static inline void round_row(float* to, const float* from, int64_t k) {
  for (int64_t j = 0; j < k; j += kLanes) {
    const Vec x = load_n(from + j, k - j);
    const Words bits = Words(x);
    const Vec nearest = Vec((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
    store_n(to + j, x == x ? nearest : x, k - j);
  }
}
#endif

// Rows [begin, end) of a term's A, rounded, into `to` (rows from 0 at rounded_stride).
static void round_rows(Rounded* to, const GemmTerm& term, int64_t begin, int64_t end) {
  constexpr int64_t kAtOnce = 256;
  float gathered[kAtOnce];
  const int64_t stride = rounded_stride(term.k);
  for (int64_t i = begin; i < end; ++i) {
    const float* row = term.a + i * term.row_stride;
    if (term.col_stride == 1) {
      round_row(to + i * stride, row, term.k);
      continue;
    }
    for (int64_t k0 = 0; k0 < term.k; k0 += kAtOnce) {
      const int64_t count = term.k - k0 < kAtOnce ? term.k - k0 : kAtOnce;
      for (int64_t k = 0; k < count; ++k) gathered[k] = row[(k0 + k) * term.col_stride];
      round_row(to + i * stride + k0, gathered, count);
    }
  }
}

// The term with the rounded rows in place of its A.
static GemmTerm rounded_term(GemmTerm term, const Rounded* rows) {
  term.row_stride = rounded_stride(term.k);
  term.col_stride = 1;
#ifdef REASONREC_PAIR_PRODUCTS
  term.a = nullptr;
  term.a_bf16 = rows;
#else
  term.a = rows;
#endif
  return term;
}
