// Sixteen lanes, fused multiply-add, masked tails. Included inside a namespace, under the target
// pragma, after <immintrin.h>.
using Vec = __m512;
using IVec = int32_t __attribute__((vector_size(64)));
constexpr int kLanes = 16;
constexpr int kRows = 12;  // rows of the gemm micro-kernel: 24 accumulators of 32 registers

static inline __mmask16 first(int64_t n) {
  return n >= kLanes ? 0xffff : __mmask16((1u << (n < 0 ? 0 : n)) - 1);
}
static inline Vec set1(float x) { return _mm512_set1_ps(x); }
static inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
static inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
// The first n lanes (n >= kLanes: all); the others are zero, and are not touched in memory.
static inline Vec load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
static inline void store_n(float* p, Vec v, int64_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
static inline Vec keep_n(Vec v, int64_t n) { return _mm512_maskz_mov_ps(first(n), v); }
static inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline Vec maximum(Vec a, Vec b) { return _mm512_maskz_max_ps(0xffff, a, b); }
static inline Vec square_root(Vec a) { return _mm512_maskz_sqrt_ps(0xffff, a); }
