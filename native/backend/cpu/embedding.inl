// y[t] = table[ids[t]]; backward adds dy's rows to the table's gradient, ascending t for every id:
// threads take columns, so the order needs no locks and no atomics.
static void embedding_forward(const Context& ctx, float* y, const int32_t* ids, const float* table,
                              int64_t t, int64_t h) {
  split(ctx, t, h, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      __builtin_memcpy(y + row * h, table + int64_t(ids[row]) * h, size_t(h) * sizeof(float));
  });
}

static void embedding_backward(const Context& ctx, float* dtable, const int32_t* ids,
                               const float* dy, int64_t t, int64_t h) {
  split(ctx, h, 2 * t, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < t; ++row) {
      float* to = dtable + int64_t(ids[row]) * h;
      const float* from = dy + row * h;
      for (int64_t j = begin; j < end; j += kLanes)
        store_n(to + j, load_n(to + j, end - j) + load_n(from + j, end - j), end - j);
    }
  });
}
