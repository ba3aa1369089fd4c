// AdamW in torch's order of operations:
//   w *= 1 - lr wd;  m += (g - m)(1 - b1);  v = v b2 + (1 - b2) g g
//   w -= (lr / (1 - b1^step)) * m / (sqrt(v) / sqrt(1 - b2^step) + eps)
// and the squared norm of a gradient in doubles: blocks of 4096 floats, eight sums per block.
static void adamw(const Context& ctx, float* w, float* m, float* v, const float* g, int64_t n,
                  float lr, float beta1, float beta2, float eps, float weight_decay,
                  float grad_scale, int64_t step) {
  const double correction1 = 1.0 - __builtin_pow(double(beta1), double(step));
  const double correction2 = 1.0 - __builtin_pow(double(beta2), double(step));
  const Vec decay = set1(float(1.0 - double(lr) * double(weight_decay)));
  const Vec rate = set1(float(-double(lr) / correction1));
  const Vec root = set1(float(__builtin_sqrt(correction2)));
  const Vec one_b1 = set1(float(1.0 - double(beta1))), one_b2 = set1(float(1.0 - double(beta2)));
  const Vec b2 = set1(beta2), epsilon = set1(eps), gs = set1(grad_scale);
  split(ctx, n, 8, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += kLanes) {
      const int64_t left = end - j;
      const Vec grad = load_n(g + j, left) * gs;
      const Vec old = load_n(m + j, left);
      const Vec first_moment = fma(grad - old, one_b1, old);
      const Vec second_moment = fma(grad * grad, one_b2, load_n(v + j, left) * b2);
      const Vec denominator = square_root(second_moment) / root + epsilon;
      const Vec weight = load_n(w + j, left) * decay;
      store_n(m + j, first_moment, left);
      store_n(v + j, second_moment, left);
      store_n(w + j, fma(rate, first_moment / denominator, weight), left);
    }
  });
}

constexpr int64_t kNormBlock = 4096;

static double square_block(const float* x, int64_t n) {
  double sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int l = 0; l < 8; ++l) sum[l] += double(x[i + l]) * double(x[i + l]);
  for (; i < n; ++i) sum[i % 8] += double(x[i]) * double(x[i]);
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

static double sum_of_squares(const Context& ctx, const float* x, int64_t n) {
  const int64_t blocks = (n + kNormBlock - 1) / kNormBlock;
  float* memory = cpu::scratch(ctx, "kernel.norm", 2 * blocks);  // one double per block
  split(ctx, blocks, kNormBlock, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t left = n - b * kNormBlock;
      const double sum = square_block(x + b * kNormBlock, left < kNormBlock ? left : kNormBlock);
      __builtin_memcpy(memory + 2 * b, &sum, sizeof sum);
    }
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    double sum;
    __builtin_memcpy(&sum, memory + 2 * b, sizeof sum);
    total += sum;
  }
  return total;
}
