// The vocabulary head: z = hidden head^T / temperature in tiles of 512 tokens; no row of V floats
// is kept.
//
// Per (row, tile): max m, s = sum exp(z - m), w = sum (z - m) exp(z - m), one lane order. The tiles
// of a row are combined in order in doubles: lse = M + log S, entropy = log S - W / S. log-prob =
// z[target] - lse is one fp32 subtraction of the stored lse, so that a sampler that has logits and
// lse gets its bits. Backward recomputes the tiles:
//   dz = (dlogp (1[v = y] - p) - dent p (log p + entropy)) / temperature,  log p = z - lse
//   dhidden += dz head (v ascending),  dhead += dz^T hidden (rows ascending)
constexpr int64_t kTile = 512;       // tokens
constexpr int64_t kHeadRows = 96;    // rows of one product
constexpr int64_t kHeadChunk = 768;  // rows whose partial sums are held at once

struct HeadCall {
  GemmTerm hidden;  // (T, H) as the products want it: rounded where they are in bf16
  Panels head;
  const int32_t* targets;
  AllowedTokens allowed;
  float inv_temperature;
  int64_t t, h, v;
};
struct HeadPartial {
  float max, sum, weighted;
};

static bool head_restricted(const HeadCall& call, int64_t row) {
  return call.allowed.begin && call.allowed.begin[row] < call.allowed.begin[row + 1];
}
// First index into the row's allowed ids that is at least `token`.
static int64_t head_allowed_from(const HeadCall& call, int64_t row, int64_t token) {
  int64_t low = call.allowed.begin[row], high = call.allowed.begin[row + 1];
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (call.allowed.ids[middle] < token)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}
static bool head_has_allowed(const HeadCall& call, int64_t row, int64_t begin, int64_t end) {
  if (!head_restricted(call, row)) return true;
  const int64_t i = head_allowed_from(call, row, begin);
  return i < call.allowed.begin[row + 1] && call.allowed.ids[i] < end;
}
static bool head_any_allowed(const HeadCall& call, int64_t row, int64_t rows, int64_t begin,
                             int64_t end) {
  for (int64_t i = 0; i < rows; ++i)
    if (head_has_allowed(call, row + i, begin, end)) return true;
  return false;
}

// The hidden rows as a product's left side.
static GemmTerm head_left(const Context& ctx, const float* hidden, const Panels& head, int64_t t,
                          int64_t h) {
  GemmTerm term{hidden, h, 1, head, h};
  gemm_prepare(ctx, &term, 1, t);
  return term;
}

// Raw logits of rows x the tile [begin, end) into c (rows, kTile).
static void head_product(const HeadCall& call, float* c, int64_t row, int64_t rows, int64_t begin,
                         int64_t end) {
  GemmTerm term = gemm_part(call.hidden, row, 0);
  term.b = call.head.shifted(begin / kPanel * call.head.panel_stride);
  gemm_serial(c, kTile, rows, end - begin, &term, 1, GemmStart::kZero, nullptr);
}

// z in place; tokens a restricted row may not have become -inf.
static void head_scale(const HeadCall& call, float* z, int64_t row, int64_t begin, int64_t n) {
  for (int64_t j = 0; j < n; j += kLanes)
    store_n(z + j, load_n(z + j, n - j) * set1(call.inv_temperature), n - j);
  if (!head_restricted(call, row)) return;
  int64_t i = head_allowed_from(call, row, begin);
  const int64_t last = call.allowed.begin[row + 1];
  for (int64_t j = 0; j < n; ++j) {
    if (i < last && call.allowed.ids[i] == begin + j)
      ++i;
    else
      z[j] = -__builtin_inff();
  }
}

static HeadPartial head_partial(const float* z, int64_t n) {
  const float lowest = -__builtin_inff();
  float max = lowest;
  Vec top = set1(lowest);
  const int64_t whole = n / kLanes * kLanes;
  for (int64_t j = 0; j < whole; j += kLanes) top = maximum(load(z + j), top);
  max = lane_max(top);
  for (int64_t j = whole; j < n; ++j) max = z[j] > max ? z[j] : max;
  if (max == lowest) max = 0;  // nothing allowed here: the sums come out 0, or NaN where z is
  Vec sum = set1(0.0f), weighted = set1(0.0f);
  const Vec floor = set1(-1e30f);  // instead of -inf: (z - m) e is then 0, not NaN
  for (int64_t j = 0; j < n; j += kLanes) {
    Vec d = load_n(z + j, n - j) - set1(max);
    d = d < floor ? floor : d;
    const Vec e = keep_n(exp(d), n - j);
    sum += e;
    weighted = fma(d, e, weighted);
  }
  return {max, lane_sum(sum), lane_sum(weighted)};
}

static void head_forward_tile(const HeadCall& call, HeadPartial* partials, int64_t tiles,
                              float* target_z, float* logits, float* c, int64_t row, int64_t rows,
                              int64_t tile) {
  const int64_t begin = tile * kTile, end = begin + kTile < call.v ? begin + kTile : call.v;
  const bool needed = logits || head_any_allowed(call, row, rows, begin, end);
  if (needed) head_product(call, c, row, rows, begin, end);
  for (int64_t i = 0; i < rows; ++i) {
    float* z = c + i * kTile;
    HeadPartial& partial = partials[i * tiles + tile];
    if (logits)
      __builtin_memcpy(logits + (row + i) * call.v + begin, z, size_t(end - begin) * sizeof(float));
    if (!needed || !head_has_allowed(call, row + i, begin, end)) {
      partial = {-__builtin_inff(), 0.0f, 0.0f};
      continue;
    }
    head_scale(call, z, row + i, begin, end - begin);
    partial = head_partial(z, end - begin);
    const int32_t y = call.targets ? call.targets[row + i] : -1;
    if (y >= begin && y < end) target_z[i] = z[y - begin];
  }
}

static void head_combine(const HeadPartial* partials, int64_t tiles, float* lse, float* entropy) {
  double max = -__builtin_inf();
  for (int64_t i = 0; i < tiles; ++i)
    if (partials[i].sum != 0 && !(partials[i].max <= max)) max = partials[i].max;
  double sum = 0, weighted = 0;
  for (int64_t i = 0; i < tiles; ++i) {
    if (partials[i].sum == 0) continue;
    const double shift = partials[i].max - max, factor = __builtin_exp(shift);
    sum += partials[i].sum * factor;
    weighted += (partials[i].weighted + shift * partials[i].sum) * factor;
  }
  *lse = float(max + __builtin_log(sum));
  if (entropy) *entropy = float(__builtin_log(sum) - weighted / sum);
}

static void head_forward(const Context& ctx, float* logprob, float* entropy, float* lse,
                         float* logits, const float* hidden, Panels head, const int32_t* targets,
                         AllowedTokens allowed, float inv_temperature, int64_t t, int64_t h,
                         int64_t v) {
  if (t == 0) return;
  const HeadCall call{
      head_left(ctx, hidden, head, t, h), head, targets, allowed, inv_temperature, t, h, v};
  const int64_t tiles = (v + kTile - 1) / kTile;
  const int64_t chunk = t < kHeadChunk ? t : kHeadChunk;
  const int64_t per_partial = sizeof(HeadPartial) / sizeof(float);
  float* partial_memory = cpu::scratch(ctx, "kernel.head.partial", chunk * tiles * per_partial);
  auto* partials = reinterpret_cast<HeadPartial*>(partial_memory);
  float* target_z = cpu::scratch(ctx, "kernel.head.target", chunk);
  float* tile_memory = cpu::scratch(ctx, "kernel.head.tile", cpu::workers(ctx) * kHeadRows * kTile);
  for (int64_t first = 0; first < t; first += chunk) {
    const int64_t rows = t - first < chunk ? t - first : chunk;
    const int64_t groups = (rows + kHeadRows - 1) / kHeadRows;
    for (int64_t i = 0; i < rows; ++i) target_z[i] = -__builtin_inff();
    cpu::parallel(ctx, tiles * groups, [&](int64_t task, int worker) {
      const int64_t tile = task / groups, row = rows * (task % groups) / groups;
      const int64_t row_end = rows * (task % groups + 1) / groups;
      head_forward_tile(call, partials + row * tiles, tiles, target_z + row, logits,
                        tile_memory + worker * kHeadRows * kTile, first + row, row_end - row, tile);
    });
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t row = first + i;
      head_combine(partials + i * tiles, tiles, lse + row, entropy ? entropy + row : nullptr);
      if (logprob) logprob[row] = targets && targets[row] >= 0 ? target_z[i] - lse[row] : 0.0f;
    }
  }
}

struct HeadGradient {
  const float *dlogprob, *dentropy, *lse, *entropy;
};

// c: raw logits -> dz, in place.
static void head_dz(const HeadCall& call, const HeadGradient& g, float* c, int64_t row,
                    int64_t rows, int64_t begin, int64_t end) {
  for (int64_t i = 0; i < rows; ++i) {
    float* z = c + i * kTile;
    const int64_t at = row + i, n = end - begin;
    head_scale(call, z, at, begin, n);
    const int32_t y = call.targets ? call.targets[at] : -1;
    const float up = y >= 0 ? g.dlogprob[at] * call.inv_temperature : 0.0f;
    const float entropy_up = g.dentropy ? g.dentropy[at] * call.inv_temperature : 0.0f;
    const Vec a = set1(up), b = set1(entropy_up), ent = set1(g.dentropy ? g.entropy[at] : 0.0f);
    const Vec floor = set1(-1e30f);
    for (int64_t j = 0; j < n; j += kLanes) {
      Vec logp = load_n(z + j, n - j) - set1(g.lse[at]);
      logp = logp < floor ? floor : logp;
      const Vec p = exp(logp);
      store_n(z + j, set1(0.0f) - p * fma(b, logp + ent, a), n - j);
    }
    if (y >= begin && y < end) z[y - begin] += up;
  }
}

// rounded: memory for dz as the left side of a product in bf16.
static void head_dhidden(const HeadCall& call, const HeadGradient& g, float* dhidden, float* c,
                         float* rounded, Panels head_t, int64_t row, int64_t rows) {
  GemmStart start = GemmStart::kZero;
  for (int64_t begin = 0; begin < call.v; begin += kTile) {
    const int64_t end = begin + kTile < call.v ? begin + kTile : call.v;
    if (!head_any_allowed(call, row, rows, begin, end)) continue;
    head_product(call, c, row, rows, begin, end);
    head_dz(call, g, c, row, rows, begin, end);
    GemmTerm term{c, kTile, 1, head_t.shifted(begin * kPanel), end - begin};
    if (gemm_rounds(term)) {
      round_rows(reinterpret_cast<Rounded*>(rounded), term, 0, rows);
      term = rounded_term(term, reinterpret_cast<Rounded*>(rounded));
    }
    gemm_serial(dhidden + row * call.h, call.h, rows, call.h, &term, 1, start, nullptr);
    start = GemmStart::kAccumulate;
  }
  if (start == GemmStart::kZero)
    gemm_serial(dhidden + row * call.h, call.h, rows, call.h, nullptr, 0, start, nullptr);
}

static void head_dhead(const HeadCall& call, const HeadGradient& g, float* dhead, float* c,
                       const float* hidden_panels, int64_t begin) {
  const int64_t end = begin + kTile < call.v ? begin + kTile : call.v;
  for (int64_t row = 0; row < call.t; row += kHeadRows) {
    const int64_t rows = call.t - row < kHeadRows ? call.t - row : kHeadRows;
    if (!head_any_allowed(call, row, rows, begin, end)) continue;
    head_product(call, c, row, rows, begin, end);
    head_dz(call, g, c, row, rows, begin, end);
    const GemmTerm term{c, 1, kTile, {hidden_panels + row * kPanel, call.t * kPanel}, rows};
    gemm_serial(dhead + begin * call.h, call.h, end - begin, call.h, &term, 1,
                GemmStart::kAccumulate, nullptr);
  }
}

static void head_backward(const Context& ctx, float* dhidden, float* dhead, const float* dlogprob,
                          const float* dentropy, const float* hidden, const float* lse,
                          const float* entropy, Panels head, Panels head_t, const int32_t* targets,
                          AllowedTokens allowed, float inv_temperature, int64_t t, int64_t h,
                          int64_t v) {
  if (t == 0) return;
  const HeadCall call{
      head_left(ctx, hidden, head, t, h), head, targets, allowed, inv_temperature, t, h, v};
  const HeadGradient g{dlogprob, dentropy, lse, entropy};
  const int threads = cpu::workers(ctx);
  float* tiles = cpu::scratch(ctx, "kernel.head.tile", threads * kHeadRows * kTile);
  const bool rounds = head_t.compute == Compute::kBF16;
  const int64_t each = rounds ? rounded_floats(kHeadRows, kTile) : 0;
  float* rounded = cpu::scratch(ctx, "kernel.head.rounded", threads * each);
  int64_t groups = (t + kHeadRows - 1) / kHeadRows;
  const int64_t even =
      (groups + threads - 1) / threads * threads;  // every thread gets as many groups
  groups = even <= (t + kRows - 1) / kRows ? even : groups;
  cpu::parallel(ctx, groups, [&](int64_t group, int worker) {
    const int64_t row = t * group / groups, rows = t * (group + 1) / groups - row;
    head_dhidden(call, g, dhidden, tiles + worker * kHeadRows * kTile, rounded + worker * each,
                 head_t, row, rows);
  });
  if (!dhead) return;
  float* hidden_panels =
      cpu::scratch(ctx, "kernel.head.hidden", t * ((h + kPanel - 1) / kPanel * kPanel));
  pack(ctx, hidden_panels, hidden, t, h, h, 1);
  cpu::parallel(ctx, (v + kTile - 1) / kTile, [&](int64_t tile, int worker) {
    head_dhead(call, g, dhead, tiles + worker * kHeadRows * kTile, hidden_panels, tile * kTile);
  });
}
