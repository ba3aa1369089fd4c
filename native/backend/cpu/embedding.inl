// y[t] = table[ids[t]]; backward adds dy's rows to the table's gradient, ascending t for every id:
// threads take columns, so the order needs no locks and no atomics.
static inline float widen_bf16(uint16_t x) {
  const uint32_t bits = uint32_t(x) << 16;
  float out;
  __builtin_memcpy(&out, &bits, sizeof out);
  return out;
}

static void embedding_row(float* y, const Table& table, int64_t id, int64_t h) {
  const int64_t column = id % kPanel;
  const Panels panel = table.columns.shifted(id / kPanel * table.columns.panel_stride);
  if (table.data) {
    __builtin_memcpy(y, table.data + id * h, size_t(h) * sizeof(float));
  } else if (table.bf16) {
    for (int64_t j = 0; j < h; ++j) y[j] = widen_bf16(table.bf16[id * h + j]);
  } else if (panel.rows) {
    for (int64_t j = 0; j < h; ++j) y[j] = widen_bf16(panel.rows[id * h + j]);
  } else if (panel.data) {
    for (int64_t j = 0; j < h; ++j) y[j] = panel.data[j * kPanel + column];
  } else {
    const uint16_t* pairs = panel.bf16 + 2 * column;
    for (int64_t j = 0; j < h; ++j) y[j] = widen_bf16(pairs[j / 2 * 2 * kPanel + j % 2]);
  }
}

static void embedding_forward(const Context& ctx, float* y, const int32_t* ids, const Table& table,
                              int64_t t, int64_t h) {
  split(ctx, t, h, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) embedding_row(y + row * h, table, ids[row], h);
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
