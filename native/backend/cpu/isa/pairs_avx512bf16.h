// Products of pairs of bf16 on top of vec_avx512.h: two terms per lane, each product and each sum
// rounded to the nearest fp32, denormals taken as zero. Defines what the sources ask for.
#define REASONREC_PAIR_PRODUCTS
template <class W>
static inline Vec add_pairs(Vec sum, W a, W b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
// The first n lanes rounded to bf16; what lies beyond is not touched in memory.
static inline void store_rounded_n(uint16_t* p, Vec v, int64_t n) {
  _mm256_mask_storeu_epi16(p, first(n), (__m256i)_mm512_cvtneps_pbh(v));
}
