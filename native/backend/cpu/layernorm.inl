// y = (x - m) r w + b, m = mean(x), r = 1 / sqrt(mean((x - m)^2) + eps).
// dx = r (g - mean(g) - xhat mean(g xhat)), g = w dy, xhat = (x - m) r; dw += dy xhat, db += dy,
// rows ascending. A row's sums run over lanes l, l + kLanes, ... and then the lanes in one order.
static void layernorm_forward(const Context& ctx, float* y, float* mean, float* inv_std,
                              const float* x, const float* w, const float* b, int64_t t, int64_t h,
                              float eps) {
  split(ctx, t, 3 * h, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x + row * h;
      float* out = y + row * h;
      Vec sum = set1(0.0f), squares = set1(0.0f);
      for (int64_t j = 0; j < h; j += kLanes) sum += load_n(in + j, h - j);
      const float m = lane_sum(sum) / float(h);
      for (int64_t j = 0; j < h; j += kLanes) {
        const Vec d = keep_n(load_n(in + j, h - j) - set1(m), h - j);
        squares = fma(d, d, squares);
      }
      const float r = 1.0f / __builtin_sqrtf(lane_sum(squares) / float(h) + eps);
      if (mean) mean[row] = m;
      if (inv_std) inv_std[row] = r;
      for (int64_t j = 0; j < h; j += kLanes) {
        const Vec normal = (load_n(in + j, h - j) - set1(m)) * set1(r);
        store_n(out + j, fma(normal, load_n(w + j, h - j), load_n(b + j, h - j)), h - j);
      }
    }
  });
}

static void layernorm_weight_gradients(const Context& ctx, float* dw, float* db, const float* dy,
                                       const float* x, const float* mean, const float* inv_std,
                                       int64_t t, int64_t h) {
  split(ctx, h, 2 * t, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes) {
      Vec gain = load_n(dw + j, end - j), shift = load_n(db + j, end - j);
      for (int64_t row = 0; row < t; ++row) {
        const Vec normal =
            (load_n(x + row * h + j, end - j) - set1(mean[row])) * set1(inv_std[row]);
        const Vec grad = load_n(dy + row * h + j, end - j);
        gain = fma(grad, normal, gain);
        shift += grad;
      }
      store_n(dw + j, gain, end - j);
      store_n(db + j, shift, end - j);
    }
  });
}

static void layernorm_backward(const Context& ctx, float* dx, float* dw, float* db, const float* dy,
                               const float* x, const float* w, const float* mean,
                               const float* inv_std, int64_t t, int64_t h, bool accumulate) {
  if (dw) layernorm_weight_gradients(ctx, dw, db, dy, x, mean, inv_std, t, h);  // dx may be dy
  split(ctx, t, 4 * h, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *in = x + row * h, *grad = dy + row * h;
      float* out = dx + row * h;
      const Vec m = set1(mean[row]), r = set1(inv_std[row]);
      Vec sum = set1(0.0f), along = set1(0.0f);
      for (int64_t j = 0; j < h; j += kLanes) {
        const Vec g = load_n(grad + j, h - j) * load_n(w + j, h - j);  // 0 beyond the row
        sum += g;
        along = fma(g, (load_n(in + j, h - j) - m) * r, along);
      }
      const Vec mean_g = set1(lane_sum(sum) / float(h)),
                mean_along = set1(-(lane_sum(along) / float(h)));
      for (int64_t j = 0; j < h; j += kLanes) {
        const Vec g = load_n(grad + j, h - j) * load_n(w + j, h - j) - mean_g;
        const Vec d = r * fma((load_n(in + j, h - j) - m) * r, mean_along, g);
        store_n(out + j, accumulate ? load_n(out + j, h - j) + d : d, h - j);
      }
    }
  });
}
