// Splitting independent rows or elements over threads, and the plain element-wise kernels. Nothing
// here lets one row's bits depend on another row or on the split: only sum_rows adds rows,
// ascending.

// body(begin, end) over [0, count) in chunks that are worth a task; unit: floats touched per item.
template <class Body>
static void split(const Context& ctx, int64_t count, int64_t unit, const Body& body) {
  const int64_t worth = 16384 / (unit > 0 ? unit : 1);
  int64_t chunk = count / (int64_t(cpu::workers(ctx)) * 4);
  chunk = chunk < worth ? worth : chunk;
  if (chunk < 1) chunk = 1;
  chunk = (chunk + kLanes - 1) / kLanes * kLanes;
  if (count <= chunk) {
    if (count > 0) body(int64_t(0), count);
    return;
  }
  cpu::parallel(ctx, (count + chunk - 1) / chunk, [&](int64_t task, int) {
    const int64_t begin = task * chunk, end = begin + chunk < count ? begin + chunk : count;
    body(begin, end);
  });
}

static void add(const Context& ctx, float* y, const float* x, int64_t n) {
  split(ctx, n, 2, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes)
      store_n(y + j, load_n(y + j, end - j) + load_n(x + j, end - j), end - j);
  });
}

static void scale(const Context& ctx, float* y, float s, int64_t n) {
  split(ctx, n, 2, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes)
      store_n(y + j, load_n(y + j, end - j) * set1(s), end - j);
  });
}

// sum (n) += every row, ascending; threads take columns.
static void sum_rows(const Context& ctx, float* sum, const float* x, int64_t t, int64_t n) {
  split(ctx, n, t, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes) {
      Vec total = load_n(sum + j, end - j);
      for (int64_t row = 0; row < t; ++row) total += load_n(x + row * n + j, end - j);
      store_n(sum + j, total, end - j);
    }
  });
}

// Element i is kept where word i % 4 of Philox(seed, stream, i / 4) is at least p * 2^32.
static void dropout(const Context& ctx, float* y, const float* x, int64_t first_element, int64_t n,
                    float p, uint64_t seed, uint64_t stream) {
  const double limit = double(p) * 4294967296.0;
  const float keep = 1.0f / (1.0f - p);
  split(ctx, n, 16, [&](int64_t begin, int64_t end) {
    uint64_t counter = ~uint64_t(0);
    uint32_t word[4] = {0, 0, 0, 0};
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t element = uint64_t(first_element + i);
      if (element / 4 != counter) {
        counter = element / 4;
        cpu::random_words(word, seed, stream, counter);
      }
      y[i] = double(word[element % 4]) >= limit ? x[i] * keep : 0.0f;
    }
  });
}
