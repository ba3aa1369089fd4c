// Backward of attention over segment trees, p recomputed from lse:
//   D = rowsum(dout out),  p = exp(scale q K^T - lse),  dp = dout V^T,  ds = scale p (dp - D)
//   dq = ds K,  dK += ds^T q,  dV += p^T dout
// One task is one kv head of one tree: a segment's keys collect from its own rows and then from its
// descendants' rows in the order of the batch, so the sums have one order without atomics.
constexpr int64_t kBackwardRows = 48;  // query rows x group per step

struct AttentionGradient {
  float *dq, *dk, *dv;
  const float *dout, *out, *lse, *q, *k, *v;
  const Segment* segments;
  const AttentionShape& shape;
};

// Packed keys and values of a segment and kv head: kt, vt = (d, keys) as right-hand operands of
// scores and dp; kn = (keys, d) for dq. All of `keys` rounded up to whole panels.
struct AttentionPacked {
  float *kt, *vt, *kn;
};
static AttentionPacked attention_packed(float* memory, int64_t padded_before, int64_t padded,
                                        int64_t d) {
  const int64_t wide = (d + kPanel - 1) / kPanel * kPanel;
  float* at = memory + padded_before * (2 * d + wide);
  return {at, at + padded * d, at + 2 * padded * d};
}
static int64_t attention_padded(const Segment& s) {
  return (s.rows + kPanel - 1) / kPanel * kPanel;
}

// Memory of one step of at most m rows: q, dout, dq (m, d); their panels; scores and dp (m, keys);
// lse and D (m).
struct AttentionStep {
  float *q, *dout, *dq, *q_panels, *dout_panels, *p, *ds, *lse, *d;
  int64_t ld;
};

static void attention_step_load(const AttentionGradient& g, const AttentionStep& step, int kv_head,
                                int64_t first_row, int64_t rows) {
  const int64_t d = g.shape.head_dim, group = g.shape.heads / g.shape.kv_heads, m = rows * group;
  attention_gather(step.q, g.q, g.shape, kv_head, first_row, rows);
  attention_gather(step.dout, g.dout, g.shape, kv_head, first_row, rows);
  for (int64_t i = 0; i < m; ++i) {
    const int64_t at = (first_row + i / group) * g.shape.heads + kv_head * group + i % group;
    step.lse[i] = g.lse[at];
    Vec sum = set1(0.0f);
    for (int64_t j = 0; j < d; j += kLanes)
      sum = fma(load_n(g.dout + at * d + j, d - j), load_n(g.out + at * d + j, d - j), sum);
    step.d[i] = lane_sum(sum);
  }
  pack_serial(step.q_panels, step.q, m, d, d, 1);
  pack_serial(step.dout_panels, step.dout, m, d, d, 1);
}

// p and ds of m rows against one block; row i sees visible(i) of its keys, the rest get exact
// zeros.
template <class Visible>
static void attention_step_scores(const AttentionStep& step, int64_t m, int64_t keys, float scale,
                                  const Visible& visible) {
  for (int64_t i = 0; i < m; ++i) {
    float *p = step.p + i * step.ld, *ds = step.ds + i * step.ld;
    const int64_t seen = visible(i);
    for (int64_t j = 0; j < keys; j += kLanes) {
      const Vec e =
          keep_n(exp(load_n(p + j, seen - j) * set1(scale) - set1(step.lse[i])), seen - j);
      const Vec grad = e * (load_n(ds + j, seen - j) - set1(step.d[i])) * set1(scale);
      store_n(p + j, e, keys - j);
      store_n(ds + j, keep_n(grad, seen - j), keys - j);
    }
  }
}

// All gradients between m query rows and the first `keys` keys of one segment.
template <class Visible>
static void attention_step_block(const AttentionGradient& g, const AttentionStep& step, int64_t m,
                                 const Segment& block, const AttentionPacked& packed, int64_t keys,
                                 int kv_head, GemmStart start, const Visible& visible) {
  const int64_t d = g.shape.head_dim, ld = step.ld, stride = g.shape.kv_heads * d;
  const GemmTerm score{step.q, d, 1, {packed.kt, d * kPanel}, d};
  const GemmTerm dp{step.dout, d, 1, {packed.vt, d * kPanel}, d};
  gemm_serial(step.p, ld, m, keys, &score, 1, GemmStart::kZero, nullptr);
  gemm_serial(step.ds, ld, m, keys, &dp, 1, GemmStart::kZero, nullptr);
  attention_step_scores(step, m, keys, g.shape.scale, visible);
  const GemmTerm dq{step.ds, ld, 1, {packed.kn, block.rows * kPanel}, keys};
  gemm_serial(step.dq, d, m, d, &dq, 1, start, nullptr);
  const int64_t at = block.row_begin * stride + kv_head * d;
  const GemmTerm dk{step.ds, 1, ld, {step.q_panels, m * kPanel}, m};
  const GemmTerm dv{step.p, 1, ld, {step.dout_panels, m * kPanel}, m};
  gemm_serial(g.dk + at, stride, keys, d, &dk, 1, GemmStart::kAccumulate, nullptr);
  gemm_serial(g.dv + at, stride, keys, d, &dv, 1, GemmStart::kAccumulate, nullptr);
}

// Where a segment's packed keys begin: padded keys of the tree's segments before it.
static int64_t attention_padded_before(const Segment* segments, int64_t tree_begin,
                                       int64_t segment) {
  int64_t before = 0;
  for (int64_t s = tree_begin; s < segment; ++s) before += attention_padded(segments[s]);
  return before;
}

// dq += over the ancestors root first, by recursion; returns how the next block starts.
static GemmStart attention_step_ancestors(const AttentionGradient& g, const AttentionStep& step,
                                          int64_t m, int32_t segment, float* packed,
                                          int64_t tree_begin, int kv_head) {
  if (segment < 0) return GemmStart::kZero;
  const Segment& s = g.segments[segment];
  const GemmStart start =
      attention_step_ancestors(g, step, m, s.parent, packed, tree_begin, kv_head);
  if (s.rows == 0) return start;
  const int64_t before = attention_padded_before(g.segments, tree_begin, segment);
  const AttentionPacked mine =
      attention_packed(packed, before, attention_padded(s), g.shape.head_dim);
  attention_step_block(g, step, m, s, mine, s.rows, kv_head, start,
                       [&](int64_t) { return s.rows; });
  return GemmStart::kAccumulate;
}

static void attention_segment_backward(const AttentionGradient& g, const AttentionStep& step,
                                       int64_t segment, float* packed, const AttentionPacked& mine,
                                       int64_t tree_begin, int kv_head) {
  const Segment& s = g.segments[segment];
  const int64_t d = g.shape.head_dim, group = g.shape.heads / g.shape.kv_heads;
  const int64_t most = group >= kBackwardRows ? 1 : kBackwardRows / group;
  for (int64_t first = 0; first < s.rows; first += most) {
    const int64_t rows = s.rows - first < most ? s.rows - first : most, m = rows * group;
    attention_step_load(g, step, kv_head, s.row_begin + first, rows);
    const GemmStart start =
        attention_step_ancestors(g, step, m, s.parent, packed, tree_begin, kv_head);
    attention_step_block(g, step, m, s, mine, first + rows, kv_head, start,
                         [&](int64_t i) { return first + i / group + 1; });
    for (int64_t row = 0; row < rows; ++row)
      __builtin_memcpy(g.dq + ((s.row_begin + first + row) * g.shape.heads + kv_head * group) * d,
                       step.dq + row * group * d, size_t(group * d) * sizeof(float));
  }
}

static void attention_tree_backward(const AttentionGradient& g, const AttentionStep& step,
                                    float* packed, int64_t begin, int64_t end, int kv_head) {
  const int64_t d = g.shape.head_dim, stride = g.shape.kv_heads * d;
  int64_t before = 0;
  for (int64_t i = begin; i < end; ++i) {
    const Segment& s = g.segments[i];
    const int64_t padded = attention_padded(s), at = s.row_begin * stride + kv_head * d;
    const AttentionPacked mine = attention_packed(packed, before, padded, d);
    before += padded;
    for (int64_t row = 0; row < s.rows; ++row) {
      __builtin_memset(g.dk + at + row * stride, 0, size_t(d) * sizeof(float));
      __builtin_memset(g.dv + at + row * stride, 0, size_t(d) * sizeof(float));
    }
    if (s.rows == 0) continue;
    pack_serial(mine.kt, g.k + at, d, s.rows, 1, stride);
    pack_serial(mine.vt, g.v + at, d, s.rows, 1, stride);
    pack_serial(mine.kn, g.k + at, s.rows, d, stride, 1);
    attention_segment_backward(g, step, i, packed, mine, begin, kv_head);
  }
}

static void attention_backward(const Context& ctx, float* dq, float* dk, float* dv,
                               const float* dout, const float* out, const float* lse,
                               const float* q, const float* k, const float* v,
                               const Segment* segments, int64_t count,
                               const AttentionShape& shape) {
  const cpu::AttentionTrees& trees = cpu::attention_trees(segments, count, kPanel);
  if (trees.count == 0) return;
  const int64_t d = shape.head_dim, group = shape.heads / shape.kv_heads;
  const int64_t m = group >= kBackwardRows ? group : kBackwardRows;
  const int64_t wide = (d + kPanel - 1) / kPanel * kPanel, ld = trees.most_padded_segment;
  const int64_t packed = trees.most_padded_keys * (2 * d + wide);
  const int64_t each = (packed + m * (3 * d + 2 * wide + 2 * ld + 2) + 15) / 16 * 16;
  float* memory = cpu::scratch(ctx, "kernel.attention", each * cpu::workers(ctx));
  const AttentionGradient g{dq, dk, dv, dout, out, lse, q, k, v, segments, shape};
  cpu::parallel(ctx, trees.count * shape.kv_heads, [&](int64_t task, int worker) {
    float* at = memory + worker * each;
    const auto take = [&](int64_t floats) {
      float* taken = at;
      at += floats;
      return taken;
    };
    float* panels = take(packed);
    AttentionStep step{};
    step.q_panels = take(m * wide);
    step.dout_panels = take(m * wide);
    step.p = take(m * ld);
    step.ds = take(m * ld);
    step.q = take(m * d);
    step.dout = take(m * d);
    step.dq = take(m * d);
    step.lse = take(m);
    step.d = take(m);
    step.ld = ld;
    const int64_t tree = task / shape.kv_heads;
    attention_tree_backward(g, step, panels, trees.begin[tree], trees.begin[tree + 1],
                            int(task % shape.kv_heads));
  });
}
