// y = x * r * w, r = 1 / sqrt(mean(x^2) + eps).
// dx = r (w dy - xhat mean(w dy xhat)), xhat = x r; dw += dy xhat, rows ascending.
// A row's sum runs over lanes l, l + kLanes, ... and then the lanes in one order.
static void rmsnorm_forward(const Context& ctx, float* y, float* inv_rms, const float* x,
                            const float* w, int64_t t, int64_t h, float eps) {
  split(ctx, t, 2 * h, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x + row * h;
      float* out = y + row * h;
      Vec sum = set1(0.0f);
      for (int64_t j = 0; j < h; j += kLanes) {
        const Vec v = load_n(in + j, h - j);
        sum = fma(v, v, sum);
      }
      const float r = 1.0f / __builtin_sqrtf(lane_sum(sum) / float(h) + eps);
      if (inv_rms) inv_rms[row] = r;
      for (int64_t j = 0; j < h; j += kLanes)
        store_n(out + j, load_n(in + j, h - j) * set1(r) * load_n(w + j, h - j), h - j);
    }
  });
}

static void rmsnorm_backward(const Context& ctx, float* dx, float* dw, const float* dy,
                             const float* x, const float* w, const float* inv_rms, int64_t t,
                             int64_t h, bool accumulate) {
  if (dw) {  // before dx, which may overwrite dy
    split(ctx, h, 2 * t, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; j += kLanes) {
        Vec total = load_n(dw + j, end - j);
        for (int64_t row = 0; row < t; ++row) {
          const Vec normal = load_n(x + row * h + j, end - j) * set1(inv_rms[row]);
          total = fma(load_n(dy + row * h + j, end - j), normal, total);
        }
        store_n(dw + j, total, end - j);
      }
    });
  }
  split(ctx, t, 4 * h, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *in = x + row * h, *grad = dy + row * h;
      float* out = dx + row * h;
      const Vec r = set1(inv_rms[row]);
      Vec sum = set1(0.0f);
      for (int64_t j = 0; j < h; j += kLanes)
        sum = fma(load_n(grad + j, h - j) * load_n(w + j, h - j), load_n(in + j, h - j) * r, sum);
      const Vec mean = set1(-(lane_sum(sum) / float(h)));
      for (int64_t j = 0; j < h; j += kLanes) {
        const Vec weighted = load_n(grad + j, h - j) * load_n(w + j, h - j);
        const Vec d = r * fma(load_n(in + j, h - j) * r, mean, weighted);
        store_n(out + j, accumulate ? load_n(out + j, h - j) + d : d, h - j);
      }
    }
  });
}
