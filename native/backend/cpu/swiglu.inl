// y = silu(g) u, silu(g) = g s, s = 1 / (1 + exp(-g)).
// dg = dy u s (1 + g (1 - s)),  du = dy g s. Outputs may overwrite their inputs.
static inline Vec sigmoid(Vec g) { return set1(1.0f) / (set1(1.0f) + exp(set1(0.0f) - g)); }

static void swiglu_forward(const Context& ctx, float* y, const float* gate, const float* up,
                           int64_t t, int64_t width) {
  split(ctx, t * width, 8, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes) {
      const Vec g = load_n(gate + j, end - j);
      store_n(y + j, g * sigmoid(g) * load_n(up + j, end - j), end - j);
    }
  });
}

static void swiglu_backward(const Context& ctx, float* dgate, float* dup, const float* dy,
                            const float* gate, const float* up, int64_t t, int64_t width) {
  split(ctx, t * width, 8, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes) {
      const Vec g = load_n(gate + j, end - j), u = load_n(up + j, end - j),
                d = load_n(dy + j, end - j);
      const Vec s = sigmoid(g);
      const Vec slope = s * fma(g, set1(1.0f) - s, set1(1.0f));
      store_n(dgate + j, d * u * slope, end - j);
      store_n(dup + j, d * (g * s), end - j);
    }
  });
}
