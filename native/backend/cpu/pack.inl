// Right-hand operands into panels of kPanel columns (layouts: Panels of backend.h), padding zero:
// from fp32 of any strides, and from bf16 rows as a checkpoint holds them.

// Rows of K that a panel holds: bf16 ones come in pairs.
static int64_t panel_rows(const float*, int64_t k) { return k; }
static int64_t panel_rows(const uint16_t*, int64_t k) { return k + k % 2; }

// One panel of `width` columns from b.
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

// Rows of K in pairs: values 2 c and 2 c + 1 of a pair are its two rows at column c.
static void pack_panel(uint16_t* panel, const float* b, int64_t k, int64_t width, int64_t k_stride,
                       int64_t n_stride) {
  constexpr int64_t kAtOnce = 32;
  float rows[kAtOnce * kPanel];
  for (int64_t k0 = 0; k0 < k; k0 += kAtOnce) {
    const int64_t count = k - k0 < kAtOnce ? k - k0 : kAtOnce;
    pack_panel(rows, b + k0 * k_stride, count, width, k_stride, n_stride);
    for (int64_t kk = 0; kk < count; kk += 2) {
      uint16_t* to = panel + (k0 + kk) * kPanel;
      const float* from = rows + kk * kPanel;
      for (int64_t j = 0; j < kPanel; ++j) {
        to[2 * j] = round_to_bf16(from[j]);
        to[2 * j + 1] = kk + 1 < count ? round_to_bf16(from[j + kPanel]) : uint16_t(0);
      }
    }
  }
}

template <class Stored>
static void pack_serial(Stored* panels, const float* b, int64_t k, int64_t n, int64_t k_stride,
                        int64_t n_stride) {
  for (int64_t p = 0; p * kPanel < n; ++p) {
    const int64_t left = n - p * kPanel, width = left < kPanel ? left : kPanel;
    pack_panel(panels + p * panel_rows(panels, k) * kPanel, b + p * kPanel * n_stride, k, width,
               k_stride, n_stride);
  }
}

template <class Stored>
static void pack(const Context& ctx, Stored* panels, const float* b, int64_t k, int64_t n,
                 int64_t k_stride, int64_t n_stride) {
  if (k * n < 20000) return pack_serial(panels, b, k, n, k_stride, n_stride);
  cpu::parallel(ctx, (n + kPanel - 1) / kPanel, [&](int64_t p, int) {
    const int64_t left = n - p * kPanel, width = left < kPanel ? left : kPanel;
    pack_panel(panels + p * panel_rows(panels, k) * kPanel, b + p * kPanel * n_stride, k, width,
               k_stride, n_stride);
  });
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
// of k rows, an odd k rounded up; columns beyond are zero. A word holds two values of a row, which
// are neighbours in the panel too: words are transposed.
static void pack_block(uint16_t* to, const uint16_t* rows, int64_t row_values, int64_t k,
                       int64_t columns) {
  int64_t kk = 0;
  if (columns == kPanel)
    for (; kk + 2 * kLanes <= k; kk += 2 * kLanes)
      for (int half = 0; half < 2; ++half) {
        Words square[kLanes];
        for (int j = 0; j < kLanes; ++j)
          square[j] = load_words(rows + (half * kLanes + j) * row_values + kk);
        transpose(square);
        for (int j = 0; j < kLanes; ++j)
          __builtin_memcpy(to + (kk + 2 * j) * kPanel + half * kPanel, &square[j], sizeof(Words));
      }
  for (; kk < k; kk += 2)
    for (int64_t c = 0; c < kPanel; ++c) {
      uint16_t* pair = to + kk * kPanel + 2 * c;
      pair[0] = c < columns ? rows[c * row_values + kk] : 0;
      pair[1] = c < columns && kk + 1 < k ? rows[c * row_values + kk + 1] : 0;
    }
}

// `panels` panels of k values from where b begins, packed into `block`.
static Panels packed_block(uint16_t* block, const Panels& b, int64_t k, int panels, int64_t last) {
  const int64_t row_values = b.panel_stride / kPanel, stride = panel_rows(block, k) * kPanel;
  const int64_t first = b.begin / b.panel_stride * kPanel, k0 = b.begin % b.panel_stride / kPanel;
  for (int p = 0; p < panels; ++p)
    pack_block(block + p * stride, b.rows + (first + p * kPanel) * row_values + k0, row_values, k,
               p == panels - 1 ? last : kPanel);
  return {nullptr, stride, block};
}

static void pack_rows(const Context& ctx, uint16_t* panels, const uint16_t* rows, int64_t k,
                      int64_t n) {
  const int64_t stride = panel_rows(panels, k) * kPanel;
  cpu::parallel(ctx, (n + kPanel - 1) / kPanel, [&](int64_t p, int) {
    const int64_t left = n - p * kPanel, width = left < kPanel ? left : kPanel;
    pack_block(panels + p * stride, rows + p * kPanel * k, k, k, width);
  });
}
