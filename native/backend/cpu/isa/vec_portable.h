// Four lanes by the compiler's own vectors: runs on every CPU. Included inside a namespace.
// fma is a product and a sum, rounded twice, the same on every machine.
using Vec = float __attribute__((vector_size(16)));
using IVec = int32_t __attribute__((vector_size(16)));
constexpr int kLanes = 4;
constexpr int kRows = 4;  // rows of the gemm micro-kernel: 8 accumulators of 16 registers

static inline Vec set1(float x) { return Vec{x, x, x, x}; }
static inline Vec load(const float* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
static inline void store(float* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }
// The first n lanes (n >= kLanes: all); the others are zero, and are not touched in memory.
static inline Vec load_n(const float* p, int64_t n) {
  if (n >= kLanes) return load(p);
  Vec v = set1(0);
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
static inline void store_n(float* p, Vec v, int64_t n) {
  if (n >= kLanes) return store(p, v);
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}
static inline Vec keep_n(Vec v, int64_t n) {
  const IVec lane{0, 1, 2, 3};
  const int32_t k = n >= kLanes ? kLanes : int32_t(n < 0 ? 0 : n);
  return lane < IVec{k, k, k, k} ? v : set1(0);
}
static inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
static inline float fma(float a, float b, float c) { return a * b + c; }
static inline Vec maximum(Vec a, Vec b) { return a > b ? a : b; }
static inline Vec square_root(Vec a) {
  for (int i = 0; i < kLanes; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
