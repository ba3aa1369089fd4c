// The micro-kernels: R rows of C times P panels of B over one range of K, accumulators in
// registers.
//
// How the operands lie is a type: what A and B hold, and how a step of K is taken. Every step adds
// to one accumulator per element, k ascending, so R and P change no bits.
constexpr int kPanel = 2 * kLanes;
using Words = uint32_t __attribute__((vector_size(sizeof(Vec))));
template <class T>
static inline Words load_words(const T* p) {
  Words words;
  __builtin_memcpy(&words, p, sizeof words);
  return words;
}

template <int R, int P>
using Sums = Vec[R][2 * P];

// acc += A[.][kk] x the row `bv` of the panels; kColumns: A[i][k] = a[k * lda + i].
template <int R, int P, bool kColumns>
__attribute__((always_inline)) static inline void gemm_add(Sums<R, P>& acc, const float* a,
                                                           int64_t lda, int64_t kk,
                                                           const Vec (&bv)[2 * P]) {
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    const Vec av = set1(kColumns ? a[kk * lda + i] : a[i * lda + kk]);
#pragma GCC unroll 16
    for (int j = 0; j < 2 * P; ++j) acc[i][j] = fma(av, bv[j], acc[i][j]);
  }
}

// A and B in fp32.
template <bool kColumns>
struct Plain {
  using Left = float;
  using Right = float;
  template <int R, int P>
  __attribute__((always_inline)) static inline void add(Sums<R, P>& acc, const float* a,
                                                        int64_t lda, const float* b,
                                                        int64_t b_stride, int64_t k) {
    for (int64_t kk = 0; kk < k; ++kk) {
      Vec bv[2 * P];
#pragma GCC unroll 16
      for (int j = 0; j < 2 * P; ++j)
        bv[j] = load(b + j / 2 * b_stride + kk * kPanel + j % 2 * kLanes);
      gemm_add<R, P, kColumns>(acc, a, lda, kk, bv);
    }
  }
};

// A in fp32, B in bf16: a word holds two rows of a column, widened by moving bits up.
struct Widened {
  using Left = float;
  using Right = uint16_t;
  template <int R, int P>
  __attribute__((always_inline)) static inline void add(Sums<R, P>& acc, const float* a,
                                                        int64_t lda, const uint16_t* b,
                                                        int64_t b_stride, int64_t k) {
    Vec bv[2 * P];
    const auto widen = [&](int64_t kk, bool odd) {
#pragma GCC unroll 16
      for (int j = 0; j < 2 * P; ++j) {
        const Words words = load_words(b + j / 2 * b_stride + kk * kPanel + j % 2 * kPanel);
        bv[j] = Vec(odd ? words & 0xffff0000u : words << 16);
      }
    };
    int64_t kk = 0;
    for (; kk + 1 < k; kk += 2) {
      widen(kk, false);
      gemm_add<R, P, false>(acc, a, lda, kk, bv);
      widen(kk, true);
      gemm_add<R, P, false>(acc, a, lda, kk + 1, bv);
    }
    if (kk == k) return;
    widen(kk, false);
    gemm_add<R, P, false>(acc, a, lda, kk, bv);
  }
};

#ifdef REASONREC_PAIR_PRODUCTS
// A and B in bf16, two rows of K per step and lane (vdpbf16ps). An odd K ends with a zero in both.
struct Pairs {
  using Left = uint16_t;
  using Right = uint16_t;
  template <int R, int P>
  __attribute__((always_inline)) static inline void add(Sums<R, P>& acc, const uint16_t* a,
                                                        int64_t lda, const uint16_t* b,
                                                        int64_t b_stride, int64_t k) {
    for (int64_t kk = 0; kk < k; kk += 2) {
      Words bv[2 * P];
#pragma GCC unroll 16
      for (int j = 0; j < 2 * P; ++j)
        bv[j] = load_words(b + j / 2 * b_stride + kk * kPanel + j % 2 * kPanel);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        uint32_t two;
        __builtin_memcpy(&two, a + i * lda + kk, sizeof two);
        const Words av = Words{} + two;
#pragma GCC unroll 16
        for (int j = 0; j < 2 * P; ++j) acc[i][j] = add_pairs(acc[i][j], av, bv[j]);
      }
    }
  }
};
#endif

// `last`: valid columns of the last panel.
template <int R, int P, class Form>
static void gemm_micro(const typename Form::Left* a, int64_t lda, const typename Form::Right* b,
                       int64_t b_stride, int64_t k, float* c, int64_t ldc, int64_t last,
                       GemmStart start, const float* bias) {
  Sums<R, P> acc;
#pragma GCC unroll 16
  for (int j = 0; j < 2 * P; ++j) {
    const int64_t valid = j < 2 * P - 2 ? kLanes : last - (j % 2) * kLanes;
    const Vec init = start == GemmStart::kBias ? load_n(bias + j * kLanes, valid) : set1(0.0f);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
      acc[i][j] = start == GemmStart::kAccumulate ? load_n(c + i * ldc + j * kLanes, valid) : init;
  }
  Form::template add<R, P>(acc, a, lda, b, b_stride, k);
#pragma GCC unroll 16
  for (int j = 0; j < 2 * P; ++j) {
    const int64_t valid = j < 2 * P - 2 ? kLanes : last - (j % 2) * kLanes;
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) store_n(c + i * ldc + j * kLanes, acc[i][j], valid);
  }
}

template <class Form>
using GemmMicro = void (*)(const typename Form::Left*, int64_t, const typename Form::Right*,
                           int64_t, int64_t, float*, int64_t, int64_t, GemmStart, const float*);
template <int R, class Form>
static GemmMicro<Form> gemm_micro_of(int rows) {
  if (rows == R) return gemm_micro<R, 1, Form>;
  if constexpr (R > 1) return gemm_micro_of<R - 1, Form>(rows);
  return nullptr;
}

// Panels worked on at once for m rows: enough independent accumulators for two fma units.
static inline int gemm_panels_at_once(int64_t m) { return m == 1 ? 4 : m <= 3 ? 2 : 1; }

template <class Form>
static GemmMicro<Form> gemm_micro_for(int rows, int panels) {
  if (panels == 4) return gemm_micro<1, 4, Form>;
  if (panels == 2 && rows == 1) return gemm_micro<1, 2, Form>;
  if (panels == 2 && rows == 2) return gemm_micro<2, 2, Form>;
  if (panels == 2 && rows == 3) return gemm_micro<3, 2, Form>;
  return gemm_micro_of<kRows, Form>(rows);
}
