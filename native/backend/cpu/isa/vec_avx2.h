// Eight lanes, fused multiply-add, masked tails. Included inside a namespace, under the target
// pragma, after <immintrin.h>.
using Vec = __m256;
using IVec = int32_t __attribute__((vector_size(32)));
constexpr int kLanes = 8;
constexpr int kRows = 6;  // rows of the gemm micro-kernel: 12 accumulators of 16 registers

static inline __m256i first(int64_t n) {
  const int32_t k = n >= kLanes ? kLanes : int32_t(n < 0 ? 0 : n);
  return __m256i(IVec{0, 1, 2, 3, 4, 5, 6, 7} < IVec{k, k, k, k, k, k, k, k});
}
static inline Vec set1(float x) { return _mm256_set1_ps(x); }
static inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
static inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
// The first n lanes (n >= kLanes: all); the others are zero, and are not touched in memory.
static inline Vec load_n(const float* p, int64_t n) {
  return n >= kLanes ? load(p) : _mm256_maskload_ps(p, first(n));
}
static inline void store_n(float* p, Vec v, int64_t n) {
  if (n >= kLanes) return store(p, v);
  _mm256_maskstore_ps(p, first(n), v);
}
static inline Vec keep_n(Vec v, int64_t n) { return _mm256_and_ps(v, Vec(first(n))); }
static inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline Vec maximum(Vec a, Vec b) { return _mm256_max_ps(a, b); }
static inline Vec square_root(Vec a) { return _mm256_sqrt_ps(a); }
