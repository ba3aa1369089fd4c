// Rotary embedding in the half-split layout: for j < d / 2,
//   x[j] <- x[j] cos - x[j + d/2] sin,   x[j + d/2] <- x[j + d/2] cos + x[j] sin
// with the angle of the row's position; inverse negates sin, which is the backward.
static void rope(const Context& ctx, float* x, const int32_t* positions, const float* cos,
                 const float* sin, int64_t t, int heads, int head_dim, bool inverse) {
  const int64_t half = head_dim / 2;
  const Vec sign = set1(inverse ? -1.0f : 1.0f);
  split(ctx, t, int64_t(heads) * head_dim, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *c = cos + positions[row] * half, *s = sin + positions[row] * half;
      for (int head = 0; head < heads; ++head) {
        float *low = x + (row * heads + head) * head_dim, *high = low + half;
        for (int64_t j = 0; j < half; j += kLanes) {
          const int64_t n = half - j;
          const Vec a = load_n(low + j, n), b = load_n(high + j, n);
          const Vec cv = load_n(c + j, n), sv = load_n(s + j, n) * sign;
          store_n(low + j, fma(a, cv, set1(0.0f) - b * sv), n);
          store_n(high + j, fma(b, cv, a * sv), n);
        }
      }
    }
  });
}
