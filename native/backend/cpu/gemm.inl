// C (M, N) = start + sum over terms of A (M, k) x B (k, N), B in panels.
//
// One accumulator per output element and k ascending over the concatenated terms, for every M and
// every tiling: a row's bits depend on the row and on B alone. Blocks of K end by storing C and
// begin by loading it again, which changes no bits. Peak is bound by the fma units: kRows x 2
// vectors of accumulators, one broadcast and two panel loads per k (per two k for pairs of bf16).
constexpr int64_t kDepth = 512;  // K per block: a panel's block stays in L1 (bf16) or L2

static bool gemm_by_columns(const GemmTerm& term) {
  return term.row_stride == 1 && term.col_stride != 1;
}

// Rows from `row` on against panels from `panel` on.
static GemmTerm gemm_part(GemmTerm term, int64_t row, int64_t panel) {
  if (term.a) term.a += row * term.row_stride;
  if (term.a_bf16) term.a_bf16 += row * term.row_stride;
  term.b = term.b.shifted(panel * term.b.panel_stride);
  return term;
}

// Micro-kernels of one form over m rows and `panels` panels.
template <class Form>
static void gemm_form(const typename Form::Left* a, int64_t lda, int64_t row_stride,
                      const typename Form::Right* b, int64_t b_stride, int64_t k, float* c,
                      int64_t ldc, int64_t m, int64_t last, int panels, GemmStart start,
                      const float* bias) {
  const int64_t most = panels > 1 ? 3 : kRows;
  const int64_t blocks = (m + most - 1) / most;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row = m * block / blocks;
    const int rows = int(m * (block + 1) / blocks - row);
    gemm_micro_for<Form>(rows, panels)(a + row * row_stride, lda, b, b_stride, k, c + row * ldc,
                                       ldc, last, start, bias);
  }
}

// One K block of one term. A column-major A meets activations only, never stored weights, so there
// is no such form for bf16 (gemm_prepare sees to it).
static void gemm_rows(float* c, int64_t ldc, int64_t m, int64_t last, int panels,
                      const GemmTerm& term, int64_t k0, int64_t k, const Panels& b, GemmStart start,
                      const float* bias) {
  const int64_t stride = b.panel_stride;
#ifdef REASONREC_PAIR_PRODUCTS
  if (term.a_bf16)
    return gemm_form<Pairs>(term.a_bf16 + k0, term.row_stride, term.row_stride, b.bf16, stride, k,
                            c, ldc, m, last, panels, start, bias);
#endif
  const float* a = term.a + k0 * term.col_stride;
  if (b.bf16)
    gemm_form<Widened>(a, term.row_stride, term.row_stride, b.bf16, stride, k, c, ldc, m, last,
                       panels, start, bias);
  else if (gemm_by_columns(term))
    gemm_form<Plain<true>>(a, term.col_stride, 1, b.data, stride, k, c, ldc, m, last, panels, start,
                           bias);
  else
    gemm_form<Plain<false>>(a, term.row_stride, term.row_stride, b.data, stride, k, c, ldc, m, last,
                            panels, start, bias);
}

// On the calling thread. A's must be row-major (col_stride 1) or column-major (row_stride 1), and
// rounded already where the product is in bf16.
//
// Few rows are bound by reading B: panel after panel, each in one run. Many rows go through all
// panels with one block of K, so that the block of A and C stay in L2. The order of an element's
// sum is the same.
static void gemm_serial(float* c, int64_t ldc, int64_t m, int64_t n, const GemmTerm* terms,
                        int term_count, GemmStart start, const float* bias) {
  const int64_t panels = (n + kPanel - 1) / kPanel;
  uint16_t block[4 * kDepth * kPanel];  // of as many panels as are worked on at once
  const GemmTerm empty{c, ldc, 1, {c, 0}, 0};
  if (term_count == 0) terms = &empty, term_count = 1;  // no products at all: C is the start
  const int64_t at_a_time = m > kRows ? panels : gemm_panels_at_once(m);
  for (int64_t first = 0; first < panels; first += at_a_time) {
    const int64_t end = first + at_a_time < panels ? first + at_a_time : panels;
    GemmStart from = start;
    for (int t = 0; t < term_count; ++t)
      for (int64_t k0 = 0; k0 == 0 || k0 < terms[t].k; k0 += kDepth) {
        const GemmTerm& term = terms[t];
        const int64_t k = term.k - k0 < kDepth ? term.k - k0 : kDepth;
        for (int64_t p = first; p < end;) {
          int at_once = gemm_panels_at_once(m);
          while (at_once > end - p) at_once /= 2;
          const int64_t left = n - (p + at_once - 1) * kPanel, last = left < kPanel ? left : kPanel;
          const Panels at = term.b.shifted(p * term.b.panel_stride + k0 * kPanel);
          const Panels b = at.rows ? packed_block(block, at, k, at_once, last) : at;
          gemm_rows(c + p * kPanel, ldc, m, last, at_once, term, k0, k, b, from,
                    bias ? bias + p * kPanel : nullptr);
          p += at_once;
        }
        from = GemmStart::kAccumulate;
      }
  }
}

static bool gemm_rounds(const GemmTerm& term) {
  return term.b.compute == Compute::kBF16 && !term.b.data && !term.a_bf16;
}
static bool gemm_needs_copy(const GemmTerm& term) {
  return term.col_stride != 1 && (term.row_stride != 1 || term.b.bf16 || term.b.rows);
}

static void gemm_copy_rows(float* copy, const GemmTerm& term, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i)
    for (int64_t k = 0; k < term.k; ++k)
      copy[i * term.k + k] = term.a[i * term.row_stride + k * term.col_stride];
}

// Terms of products in bf16 get their A rounded; others whose A is neither row- nor column-major
// get it copied to rows.
static void gemm_prepare(const Context& ctx, GemmTerm* terms, int term_count, int64_t m) {
  int64_t floats = 0;
  for (int t = 0; t < term_count; ++t)
    floats += gemm_rounds(terms[t])       ? rounded_floats(m, terms[t].k)
              : gemm_needs_copy(terms[t]) ? m * terms[t].k
                                          : 0;
  if (floats == 0) return;
  float* memory = cpu::scratch(ctx, "kernel.gemm.rows", floats);
  for (int t = 0; t < term_count; ++t) {
    GemmTerm& term = terms[t];
    const bool rounds = gemm_rounds(term);
    if (!rounds && !gemm_needs_copy(term)) continue;
    auto* rounded = reinterpret_cast<Rounded*>(memory);
    split(ctx, m, 2 * term.k, [&](int64_t begin, int64_t end) {
      if (rounds)
        round_rows(rounded, term, begin, end);
      else
        gemm_copy_rows(memory, term, begin, end);
    });
    if (rounds) {
      memory += rounded_floats(m, term.k);
      term = rounded_term(term, rounded);
    } else {
      term.a = memory;
      memory += m * term.k;
      term.row_stride = term.k;
      term.col_stride = 1;
    }
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
  gemm_prepare(ctx, terms, term_count, m);
  const int threads = cpu::workers(ctx);
  if (m * n * k < 300000) {
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
    for (int t = 0; t < term_count; ++t) part[t] = gemm_part(terms[t], row, p);
    gemm_serial(c + row * ldc + p * kPanel, ldc, rows, columns, part, term_count, start,
                bias ? bias + p * kPanel : nullptr);
  });
}
