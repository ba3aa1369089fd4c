// exp(x) per lane, our own so that a lane's bits depend on nothing but x: x = n ln 2 + r, |r| <= ln
// 2 / 2, a polynomial of degree 7 in r, then 2^n by the exponent bits. Within 2 ulp. Below -87.33
// the result is 0 (no denormals), above 88 it stays at exp(88): finite. NaN stays NaN.
static inline Vec exp(Vec x) {
  const Vec low = set1(-87.33f), high = set1(88.0f), zero = set1(0.0f);
  const Vec magic =
      set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  Vec v = x > high ? high : x;
  v = v < low ? low : v;
  const Vec shifted = fma(v, set1(1.44269504088896341f), magic);
  const Vec n = shifted - magic;
  Vec r = fma(n, set1(-0.693359375f), v);
  r = fma(n, set1(2.12194440e-4f), r);
  Vec p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  const Vec y = fma(p, r * r, r) + set1(1.0f);
  const IVec bits = ((IVec)shifted - (IVec)magic + 127) << 23;
  const Vec result = y * (Vec)bits;
  return x < low ? zero : result;
}

// The sum of the lanes in one fixed order: halves onto halves.
static inline float lane_sum(Vec v) {
  float lane[kLanes];
  store(lane, v);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}
static inline float lane_max(Vec v) {
  float lane[kLanes];
  store(lane, v);
  float m = lane[0];
  for (int i = 1; i < kLanes; ++i) m = lane[i] > m ? lane[i] : m;
  return m;
}
