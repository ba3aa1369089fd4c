// y = max(x, 0). dx = dy where y > 0, else 0: at the kink the slope is 0.
static void relu_forward(const Context& ctx, float* y, const float* x, int64_t n) {
  split(ctx, n, 2, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes) {
      const Vec in = load_n(x + j, end - j), zero = set1(0.0f);
      store_n(y + j, in < zero ? zero : in, end - j);  // NaN stays NaN
    }
  });
}

static void relu_backward(const Context& ctx, float* dx, const float* dy, const float* y,
                          int64_t n) {
  split(ctx, n, 3, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes) {
      const Vec grad = load_n(dy + j, end - j), zero = set1(0.0f);
      store_n(dx + j, load_n(y + j, end - j) > zero ? grad : zero, end - j);
    }
  });
}
