// C (M, N) = start + sum over terms of A (M, k) x B (k, N), B in panels.
//
// One accumulator per output element and k ascending over the concatenated terms, for every M and
// every tiling: a row's bits depend on the row and on B alone. Blocks of K end by storing C and
// begin by loading it again, which changes no bits. Peak is bound by the fma units: kRows x 2
// vectors of accumulators, one broadcast and two panel loads per k.
constexpr int kPanel = 2 * kLanes;
constexpr int64_t kDepth = 512;  // K per block: a panel's block stays in L2

// The two vectors of a panel's row; bf16 becomes fp32 by moving its bits up.
using Words = uint32_t __attribute__((vector_size(sizeof(Vec))));
static inline void load_row(Vec& low, Vec& high, const float* p) {
  low = load(p);
  high = load(p + kLanes);
}
static inline void load_row(Vec& low, Vec& high, const uint16_t* p) {
  Words words;
  __builtin_memcpy(&words, p, sizeof words);
  low = (Vec)(words << 16);
  high = (Vec)(words & 0xffff0000u);
}

// R rows, P panels at once (P > 1 hides the fma latency where R is small).
// kColumns: A[i][k] = a[k * lda + i] instead of a[i * lda + k]. `last`: valid columns of the last
// panel. Stored: float or uint16_t (bf16).
template <int R, int P, bool kColumns, class Stored>
static void gemm_micro(const float* a, int64_t lda, const Stored* b, int64_t b_stride, int64_t k,
                       float* c, int64_t ldc, int64_t last, GemmStart start, const float* bias) {
  Vec acc[R][2 * P];
#pragma GCC unroll 16
  for (int j = 0; j < 2 * P; ++j) {
    const int64_t valid = j < 2 * P - 2 ? kLanes : last - (j % 2) * kLanes;
    const Vec init = start == GemmStart::kBias ? load_n(bias + j * kLanes, valid) : set1(0.0f);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
      acc[i][j] = start == GemmStart::kAccumulate ? load_n(c + i * ldc + j * kLanes, valid) : init;
  }
  for (int64_t kk = 0; kk < k; ++kk) {
    Vec bv[2 * P];
#pragma GCC unroll 16
    for (int j = 0; j < P; ++j) load_row(bv[2 * j], bv[2 * j + 1], b + j * b_stride + kk * kPanel);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vec av = set1(kColumns ? a[kk * lda + i] : a[i * lda + kk]);
#pragma GCC unroll 16
      for (int j = 0; j < 2 * P; ++j) acc[i][j] = fma(av, bv[j], acc[i][j]);
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < 2 * P; ++j) {
    const int64_t valid = j < 2 * P - 2 ? kLanes : last - (j % 2) * kLanes;
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) store_n(c + i * ldc + j * kLanes, acc[i][j], valid);
  }
}

template <class Stored>
using GemmMicro = void (*)(const float*, int64_t, const Stored*, int64_t, int64_t, float*, int64_t,
                           int64_t, GemmStart, const float*);
template <int R, bool kColumns, class Stored>
static GemmMicro<Stored> gemm_micro_of(int rows) {
  if (rows == R) return gemm_micro<R, 1, kColumns, Stored>;
  if constexpr (R > 1) return gemm_micro_of<R - 1, kColumns, Stored>(rows);
  return nullptr;
}

// Panels worked on at once for m rows: enough independent accumulators for two fma units.
static inline int gemm_panels_at_once(int64_t m) { return m == 1 ? 4 : m <= 3 ? 2 : 1; }

template <bool kColumns, class Stored>
static GemmMicro<Stored> gemm_micro_for(int rows, int panels) {
  if (panels == 4) return gemm_micro<1, 4, kColumns, Stored>;
  if (panels == 2 && rows == 1) return gemm_micro<1, 2, kColumns, Stored>;
  if (panels == 2 && rows == 2) return gemm_micro<2, 2, kColumns, Stored>;
  if (panels == 2 && rows == 3) return gemm_micro<3, 2, kColumns, Stored>;
  return gemm_micro_of<kRows, kColumns, Stored>(rows);
}

// Lane i is lane from[i] of a, or of b behind a.
static inline Words pick(Words a, Words b, Words from) {
#if defined(__GNUC__) && !defined(__clang__)
  return __builtin_shuffle(a, b, from);
#else
  Words out;
  for (int i = 0; i < kLanes; ++i) out[i] = from[i] < kLanes ? a[from[i]] : b[from[i] - kLanes];
  return out;
#endif
}

// A square of words, by exchanging ever larger squares beside its diagonal.
template <int kSide = 1>
static inline void transpose(Words* square) {
  if constexpr (kSide < kLanes) {
    Words upper, lower;
    for (unsigned lane = 0; lane < unsigned(kLanes); ++lane) {
      upper[lane] = lane & kSide ? lane - kSide + kLanes : lane;
      lower[lane] = lane & kSide ? lane + kLanes : lane + kSide;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if (i & kSide) continue;
      const Words a = square[i], b = square[i + kSide];
      square[i] = pick(a, b, upper);
      square[i + kSide] = pick(a, b, lower);
    }
    transpose<2 * kSide>(square);
  }
}

// Rows [0, columns) of `row_values` bf16 values each, values [0, k) of them, into one panel's block
// (k, kPanel); columns beyond are zero. A word holds two values of a row, so words are transposed
// and the halves of low and high columns exchanged.
static void pack_block(uint16_t* to, const uint16_t* rows, int64_t row_values, int64_t k,
                       int64_t columns) {
  int64_t kk = 0;
  if (columns == kPanel)
    for (; kk + 2 * kLanes <= k; kk += 2 * kLanes) {
      Words low[kLanes], high[kLanes];
      for (int j = 0; j < kLanes; ++j) {
        __builtin_memcpy(&low[j], rows + j * row_values + kk, sizeof(Words));
        __builtin_memcpy(&high[j], rows + (j + kLanes) * row_values + kk, sizeof(Words));
      }
      transpose(low);
      transpose(high);
      for (int j = 0; j < kLanes; ++j) {
        const Words even = (low[j] & 0xffffu) | high[j] << 16;
        const Words odd = low[j] >> 16 | (high[j] & 0xffff0000u);
        __builtin_memcpy(to + (kk + 2 * j) * kPanel, &even, sizeof even);
        __builtin_memcpy(to + (kk + 2 * j + 1) * kPanel, &odd, sizeof odd);
      }
    }
  for (; kk < k; ++kk)
    for (int64_t c = 0; c < kPanel; ++c)
      to[kk * kPanel + (c < kLanes ? 2 * c : 2 * (c - kLanes) + 1)] =
          c < columns ? rows[c * row_values + kk] : 0;
}

// `panels` panels of k values from where b begins, packed into `block`.
static Panels packed_block(uint16_t* block, const Panels& b, int64_t k, int panels, int64_t last) {
  const int64_t row_values = b.panel_stride / kPanel;
  const int64_t first = b.begin / b.panel_stride * kPanel, k0 = b.begin % b.panel_stride / kPanel;
  for (int p = 0; p < panels; ++p)
    pack_block(block + p * k * kPanel, b.rows + (first + p * kPanel) * row_values + k0, row_values,
               k, p == panels - 1 ? last : kPanel);
  return {nullptr, k * kPanel, block};
}

static bool gemm_by_columns(const GemmTerm& term) {
  return term.row_stride == 1 && term.col_stride != 1;
}

// One K block of one term for m rows and `panels` panels. A column-major A meets activations only,
// never stored weights, so there is no such kernel for bf16 (gemm_copy_rows sees to it).
static void gemm_rows(float* c, int64_t ldc, int64_t m, int64_t last, int panels,
                      const GemmTerm& term, int64_t k0, int64_t k, const Panels& b, GemmStart start,
                      const float* bias) {
  const bool columns = gemm_by_columns(term);
  const int64_t lda = columns ? term.col_stride : term.row_stride;
  const int64_t most = panels > 1 ? 3 : kRows;
  const int64_t blocks = (m + most - 1) / most;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row = m * block / blocks;
    const int rows = int(m * (block + 1) / blocks - row);
    const float* a = term.a + row * term.row_stride + k0 * term.col_stride;
    float* to = c + row * ldc;
    if (b.bf16)
      gemm_micro_for<false, uint16_t>(rows, panels)(a, lda, b.bf16, b.panel_stride, k, to, ldc,
                                                    last, start, bias);
    else
      (columns ? gemm_micro_for<true, float> : gemm_micro_for<false, float>)(rows, panels)(
          a, lda, b.data, b.panel_stride, k, to, ldc, last, start, bias);
  }
}

// On the calling thread. A's must be row-major (col_stride 1) or column-major (row_stride 1).
static void gemm_serial(float* c, int64_t ldc, int64_t m, int64_t n, const GemmTerm* terms,
                        int term_count, GemmStart start, const float* bias) {
  const int64_t panels = (n + kPanel - 1) / kPanel;
  uint16_t block[4 * kDepth * kPanel];  // of as many panels as are worked on at once
  for (int64_t p = 0; p < panels;) {
    int at_once = gemm_panels_at_once(m);
    while (at_once > panels - p) at_once /= 2;
    const int64_t left = n - (p + at_once - 1) * kPanel, last = left < kPanel ? left : kPanel;
    const float* panel_bias = bias ? bias + p * kPanel : nullptr;
    GemmStart from = start;
    for (int t = 0; t < term_count; ++t) {
      const GemmTerm& term = terms[t];
      for (int64_t k0 = 0; k0 < term.k; k0 += kDepth) {
        const int64_t k = term.k - k0 < kDepth ? term.k - k0 : kDepth;
        const Panels at = term.b.shifted(p * term.b.panel_stride + k0 * kPanel);
        const Panels b = at.rows ? packed_block(block, at, k, at_once, last) : at;
        gemm_rows(c + p * kPanel, ldc, m, last, at_once, term, k0, k, b, from, panel_bias);
        from = GemmStart::kAccumulate;
      }
    }
    if (from != GemmStart::kAccumulate) {  // no products at all: C is the start
      const GemmTerm empty{c, ldc, 1, {c, 0}, 0};
      gemm_rows(c + p * kPanel, ldc, m, last, at_once, empty, 0, 0, empty.b, from, panel_bias);
    }
    p += at_once;
  }
}

static bool gemm_needs_copy(const GemmTerm& term) {
  return term.col_stride != 1 && (term.row_stride != 1 || term.b.bf16 || term.b.rows);
}

// Terms whose A is neither row- nor column-major are copied to rows first.
static void gemm_copy_rows(const Context& ctx, GemmTerm* terms, int term_count, int64_t m) {
  int64_t floats = 0;
  for (int t = 0; t < term_count; ++t)
    if (gemm_needs_copy(terms[t])) floats += m * terms[t].k;
  if (floats == 0) return;
  float* copy = cpu::scratch(ctx, "kernel.gemm.rows", floats);
  for (int t = 0; t < term_count; ++t) {
    GemmTerm& term = terms[t];
    if (!gemm_needs_copy(term)) continue;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t k = 0; k < term.k; ++k)
        copy[i * term.k + k] = term.a[i * term.row_stride + k * term.col_stride];
    term.a = copy;
    term.row_stride = term.k;
    term.col_stride = 1;
    copy += m * term.k;
  }
}

constexpr int kGemmTerms = 8;

static void gemm(const Context& ctx, float* c, int64_t ldc, int64_t m, int64_t n,
                 const GemmTerm* given, int term_count, GemmStart start, const float* bias) {
  if (m <= 0 || n <= 0) return;
  if (term_count > kGemmTerms)
    cpu::fail("RR_SHAPE_MISMATCH", "too many terms in one product", "at most 8", term_count);
  GemmTerm terms[kGemmTerms];
  int64_t k = 0;
  for (int t = 0; t < term_count; ++t) {
    terms[t] = given[t];
    k += given[t].k;
  }
  gemm_copy_rows(ctx, terms, term_count, m);
  const int threads = cpu::workers(ctx);
  if (threads == 1 || m * n * k < 300000) {
    gemm_serial(c, ldc, m, n, terms, term_count, start, bias);
    return;
  }
  // Tasks: panel chunks x row chunks, panel chunks outermost so that a worker keeps its panels.
  const int64_t panels = (n + kPanel - 1) / kPanel;
  int64_t panel_chunk = panels / (threads * 4);
  const int64_t fewest = gemm_panels_at_once(m);
  panel_chunk = panel_chunk < fewest ? fewest : panel_chunk > 8 && m > 48 ? 8 : panel_chunk;
  const int64_t panel_tasks = (panels + panel_chunk - 1) / panel_chunk;
  const int64_t row_chunk = panel_tasks >= threads * 2 ? kRows * 10 : kRows * 2;
  const int64_t row_tasks = (m + row_chunk - 1) / row_chunk;
  cpu::parallel(ctx, panel_tasks * row_tasks, [&](int64_t task, int) {
    const int64_t p = task / row_tasks * panel_chunk, block = task % row_tasks;
    const int64_t row = m * block / row_tasks, rows = m * (block + 1) / row_tasks - row;
    const int64_t columns =
        n - p * kPanel < panel_chunk * kPanel ? n - p * kPanel : panel_chunk * kPanel;
    GemmTerm part[kGemmTerms];
    for (int t = 0; t < term_count; ++t) {
      part[t] = terms[t];
      part[t].a += row * terms[t].row_stride;
      part[t].b = terms[t].b.shifted(p * terms[t].b.panel_stride);
    }
    gemm_serial(c + row * ldc + p * kPanel, ldc, rows, columns, part, term_count, start,
                bias ? bias + p * kPanel : nullptr);
  });
}

// One panel of `width` columns from b; the rest of the panel is zero.
static void pack_panel(float* panel, const float* b, int64_t k, int64_t width, int64_t k_stride,
                       int64_t n_stride) {
  if (n_stride == 1) {
    for (int64_t kk = 0; kk < k; ++kk)
      for (int half = 0; half < 2; ++half) {
        const int64_t valid = width - half * kLanes;
        const float* from = b + kk * k_stride + half * kLanes;
        store(panel + kk * kPanel + half * kLanes, valid > 0 ? load_n(from, valid) : set1(0.0f));
      }
    return;
  }
  for (int64_t k0 = 0; k0 < k; k0 += 32) {
    const int64_t end = k - k0 < 32 ? k : k0 + 32;
    for (int64_t j = 0; j < width; ++j)
      for (int64_t kk = k0; kk < end; ++kk)
        panel[kk * kPanel + j] = b[kk * k_stride + j * n_stride];
    for (int64_t kk = k0; kk < end; ++kk)
      for (int64_t j = width; j < kPanel; ++j) panel[kk * kPanel + j] = 0;
  }
}

// To the nearest bf16, ties to even. Finite values only: NaN could become infinite.
static inline uint16_t round_to_bf16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void pack_panel(uint16_t* panel, const float* b, int64_t k, int64_t width, int64_t k_stride,
                       int64_t n_stride) {
  constexpr int64_t kAtOnce = 32;
  float rows[kAtOnce * kPanel];
  for (int64_t k0 = 0; k0 < k; k0 += kAtOnce) {
    const int64_t count = k - k0 < kAtOnce ? k - k0 : kAtOnce;
    pack_panel(rows, b + k0 * k_stride, count, width, k_stride, n_stride);
    for (int64_t kk = 0; kk < count; ++kk) {
      uint16_t* to = panel + (k0 + kk) * kPanel;
      const float* from = rows + kk * kPanel;
      for (int64_t j = 0; j < kLanes; ++j) {
        to[2 * j] = round_to_bf16(from[j]);
        to[2 * j + 1] = round_to_bf16(from[j + kLanes]);
      }
    }
  }
}

template <class Stored>
static void pack_serial(Stored* panels, const float* b, int64_t k, int64_t n, int64_t k_stride,
                        int64_t n_stride) {
  for (int64_t p = 0; p * kPanel < n; ++p) {
    const int64_t left = n - p * kPanel, width = left < kPanel ? left : kPanel;
    pack_panel(panels + p * k * kPanel, b + p * kPanel * n_stride, k, width, k_stride, n_stride);
  }
}

template <class Stored>
static void pack(const Context& ctx, Stored* panels, const float* b, int64_t k, int64_t n,
                 int64_t k_stride, int64_t n_stride) {
  if (k * n < 20000) return pack_serial(panels, b, k, n, k_stride, n_stride);
  cpu::parallel(ctx, (n + kPanel - 1) / kPanel, [&](int64_t p, int) {
    const int64_t left = n - p * kPanel, width = left < kPanel ? left : kPanel;
    pack_panel(panels + p * k * kPanel, b + p * kPanel * n_stride, k, width, k_stride, n_stride);
  });
}

static void pack_rows(const Context& ctx, uint16_t* panels, const uint16_t* rows, int64_t k,
                      int64_t n) {
  cpu::parallel(ctx, (n + kPanel - 1) / kPanel, [&](int64_t p, int) {
    const int64_t left = n - p * kPanel, width = left < kPanel ? left : kPanel;
    pack_block(panels + p * k * kPanel, rows + p * kPanel * k, k, k, width);
  });
}
