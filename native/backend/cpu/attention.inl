// Attention over segment trees: out = softmax(scale q K^T) V over [ancestors root first, own keys
// causal].
//
// A tile is M = rows x group query rows of one kv head (group = heads / kv_heads). Per tile: scores
// of every block by the gemm micro-kernel, maximum, p = exp(s - max), the sum of p, and P V block
// after block. A row's sums run over its keys in chain order, lane l taking block positions l, l +
// kLanes, ...; keys it may not see have p = 0 and add exactly nothing. So neither the tile, nor how
// many rows the batch adds per segment, nor the thread changes a bit: one row decoded equals the
// row trained.
static float* attention_keys(const KvBlock& block, int kv_head, int64_t d) {
  return block.k + kv_head * block.capacity * d;
}
static float* attention_values(const KvBlock& block, int kv_head, int64_t d) {
  return block.v + kv_head * ((d + kPanel - 1) / kPanel) * block.capacity * kPanel;
}

static void kv_append(const Context& ctx, const KvBlock* blocks, const Segment* segments,
                      int64_t count, const float* k, const float* v, const AttentionShape& shape) {
  const int64_t d = shape.head_dim, heads = shape.kv_heads;
  for (int64_t i = 0; i < count; ++i)
    if (segments[i].past + segments[i].rows > blocks[i].capacity)
      cpu::fail("RR_BAD_SEGMENTS", "a segment does not fit its key block",
                "past + rows <= capacity", segments[i].past + segments[i].rows);
  const auto append = [&](int64_t task, int) {
    const Segment& s = segments[task / heads];
    const KvBlock& block = blocks[task / heads];
    const int head = int(task % heads);
    float *keys = attention_keys(block, head, d), *values = attention_values(block, head, d);
    for (int64_t row = 0; row < s.rows; ++row) {
      const int64_t at = s.past + row;
      const float* from_k = k + ((s.row_begin + row) * heads + head) * d;
      const float* from_v = v + ((s.row_begin + row) * heads + head) * d;
      float* to = keys + at / kPanel * d * kPanel + at % kPanel;
      for (int64_t j = 0; j < d; ++j) to[j * kPanel] = from_k[j];
      for (int64_t j = 0; j < d; j += kLanes)
        store_n(values + j / kPanel * block.capacity * kPanel + at * kPanel + j % kPanel,
                load_n(from_v + j, d - j), d - j);
    }
  };
  int64_t rows = 0;
  for (int64_t i = 0; i < count; ++i) rows += segments[i].rows;
  if (rows * heads * d < 8192)
    for (int64_t task = 0; task < count * heads; ++task) append(task, 0);
  else
    cpu::parallel(ctx, count * heads, append);
}

// One row's scores: the ancestors' columns, all seen, then `own_keys` own columns of which
// `visible` are.
struct AttentionRow {
  float* scores;
  const cpu::AttentionAncestor* chain;
  int64_t ancestors, own_offset, own_keys, visible;
};

static Vec attention_max(const float* s, int64_t visible, Vec top) {
  const int64_t whole = visible / kLanes * kLanes;
  for (int64_t j = 0; j < whole; j += kLanes) top = maximum(load(s + j), top);
  for (int64_t j = whole; j < visible; ++j) top = maximum(set1(s[j]), top);
  return top;
}

// s becomes p = exp(s scale - max), 0 from `visible` on; the lanes of `sum` go on.
static Vec attention_exp(float* s, int64_t visible, int64_t keys, float scale, float max, Vec sum) {
  for (int64_t j = 0; j < keys; j += kLanes) {
    const Vec p = keep_n(exp(load_n(s + j, visible - j) * set1(scale) - set1(max)), visible - j);
    sum += p;
    store_n(s + j, p, keys - j);
  }
  return sum;
}

// Returns the sum of p.
static float attention_softmax(const AttentionRow& row, float scale, float* max_out) {
  Vec top = set1(-__builtin_inff());
  for (int64_t b = 0; b < row.ancestors; ++b)
    top = attention_max(row.scores + row.chain[b].offset, row.chain[b].keys, top);
  top = attention_max(row.scores + row.own_offset, row.visible, top);
  const float max = lane_max(top) * scale;
  Vec sum = set1(0.0f);
  for (int64_t b = 0; b < row.ancestors; ++b)
    sum = attention_exp(row.scores + row.chain[b].offset, row.chain[b].keys, row.chain[b].keys,
                        scale, max, sum);
  sum = attention_exp(row.scores + row.own_offset, row.visible, row.own_keys, scale, max, sum);
  *max_out = max;
  return lane_sum(sum);
}

// Copies query rows of one kv head to (rows x group, d): rows outermost, heads of the group inside.
static void attention_gather(float* to, const float* from, const AttentionShape& shape, int kv_head,
                             int64_t first_row, int64_t rows) {
  const int64_t d = shape.head_dim, group = shape.heads / shape.kv_heads;
  for (int64_t row = 0; row < rows; ++row)
    __builtin_memcpy(to + row * group * d,
                     from + ((first_row + row) * shape.heads + kv_head * group) * d,
                     size_t(group * d) * sizeof(float));
}

struct AttentionCall {
  float *out, *lse;
  const float* q;
  const KvBlock* blocks;
  const Segment* segments;
  const AttentionShape& shape;
  const cpu::AttentionPlan& plan;
};

// One worker's memory: q, o (M, d); scores (M, ld); sums (M).
struct AttentionScratch {
  float *q, *o, *scores, *sums;
  int64_t ld;
};

// Scores and softmax of one segment's rows; `at` is their first row among the tile's.
static void attention_own_rows(const AttentionCall& call, const cpu::AttentionTile& tile,
                               const cpu::AttentionRows& rows, int64_t at, int kv_head,
                               const AttentionScratch& mem) {
  const int64_t d = call.shape.head_dim, group = call.shape.heads / call.shape.kv_heads;
  const Segment& s = call.segments[rows.segment];
  const int64_t keys = s.past + rows.first + rows.rows;
  const Panels panels{attention_keys(call.blocks[rows.segment], kv_head, d), d * kPanel};
  const GemmTerm term{mem.q + at * group * d, d, 1, panels, d};
  float* scores = mem.scores + at * group * mem.ld;
  gemm_serial(scores + tile.ancestor_keys, mem.ld, rows.rows * group, keys, &term, 1,
              GemmStart::kZero, nullptr);
  for (int64_t i = 0; i < rows.rows * group; ++i) {
    const AttentionRow line{scores + i * mem.ld,
                            call.plan.chain + tile.chain_begin,
                            tile.chain_end - tile.chain_begin,
                            tile.ancestor_keys,
                            keys,
                            s.past + rows.first + i / group + 1};
    float max;
    const float sum = attention_softmax(line, call.shape.scale, &max);
    mem.sums[at * group + i] = sum;
    const int64_t row = s.row_begin + rows.first + i / group, head = kv_head * group + i % group;
    if (call.lse)
      call.lse[row * call.shape.heads + head] = float(double(max) + __builtin_log(double(sum)));
  }
}

static void attention_write(const AttentionCall& call, const cpu::AttentionRows& rows, int64_t at,
                            int kv_head, const AttentionScratch& mem) {
  const int64_t d = call.shape.head_dim, group = call.shape.heads / call.shape.kv_heads;
  const int64_t first = call.segments[rows.segment].row_begin + rows.first;
  for (int64_t i = 0; i < rows.rows * group; ++i) {
    const float* from = mem.o + (at * group + i) * d;
    float* to =
        call.out + ((first + i / group) * call.shape.heads + kv_head * group + i % group) * d;
    const Vec sum = set1(mem.sums[at * group + i]);
    for (int64_t j = 0; j < d; j += kLanes) store_n(to + j, load_n(from + j, d - j) / sum, d - j);
  }
}

static void attention_tile(const AttentionCall& call, const cpu::AttentionTile& tile, int kv_head,
                           const AttentionScratch& mem) {
  const int64_t d = call.shape.head_dim, group = call.shape.heads / call.shape.kv_heads,
                m = tile.rows * group;
  const cpu::AttentionRows* rows = call.plan.rows;
  int64_t at = 0;
  for (int64_t e = tile.rows_begin; e < tile.rows_end; at += rows[e++].rows)
    attention_gather(mem.q + at * group * d, call.q, call.shape, kv_head,
                     call.segments[rows[e].segment].row_begin + rows[e].first, rows[e].rows);
  for (int64_t c = tile.chain_begin; c < tile.chain_end; ++c) {
    const cpu::AttentionAncestor& ancestor = call.plan.chain[c];
    const Panels panels{attention_keys(call.blocks[ancestor.segment], kv_head, d), d * kPanel};
    const GemmTerm term{mem.q, d, 1, panels, d};
    gemm_serial(mem.scores + ancestor.offset, mem.ld, m, ancestor.keys, &term, 1, GemmStart::kZero,
                nullptr);
  }
  at = 0;
  for (int64_t e = tile.rows_begin; e < tile.rows_end; at += rows[e++].rows)
    attention_own_rows(call, tile, rows[e], at, kv_head, mem);
  // O = P V, ancestors first for all rows, then each segment's own keys.
  GemmStart start = GemmStart::kZero;
  for (int64_t c = tile.chain_begin; c < tile.chain_end; ++c) {
    const cpu::AttentionAncestor& ancestor = call.plan.chain[c];
    if (ancestor.keys == 0) continue;
    const KvBlock& block = call.blocks[ancestor.segment];
    const Panels panels{attention_values(block, kv_head, d), block.capacity * kPanel};
    const GemmTerm term{mem.scores + ancestor.offset, mem.ld, 1, panels, ancestor.keys};
    gemm_serial(mem.o, d, m, d, &term, 1, start, nullptr);
    start = GemmStart::kAccumulate;
  }
  at = 0;
  for (int64_t e = tile.rows_begin; e < tile.rows_end; at += rows[e++].rows) {
    const Segment& s = call.segments[rows[e].segment];
    const KvBlock& block = call.blocks[rows[e].segment];
    const Panels panels{attention_values(block, kv_head, d), block.capacity * kPanel};
    const GemmTerm term{mem.scores + at * group * mem.ld + tile.ancestor_keys, mem.ld, 1, panels,
                        s.past + rows[e].first + rows[e].rows};
    gemm_serial(mem.o + at * group * d, d, rows[e].rows * group, d, &term, 1, start, nullptr);
    attention_write(call, rows[e], at, kv_head, mem);
  }
}

static void attention_forward(const Context& ctx, float* out, float* lse, const float* q,
                              const KvBlock* blocks, const Segment* segments, int64_t count,
                              const AttentionShape& shape) {
  const int64_t d = shape.head_dim, group = shape.heads / shape.kv_heads;
  const int64_t consecutive = group >= 24 ? 1 : 24 / group, together = group >= 64 ? 1 : 64 / group;
  const cpu::AttentionPlan& plan =
      cpu::plan_attention_again(segments, blocks, count, kPanel, consecutive, together);
  if (plan.tile_count == 0) return;
  const int64_t m = plan.most_rows * group, ld = plan.most_keys;
  const int64_t each = (m * (2 * d + ld + 1) + 15) / 16 * 16;
  float* memory = cpu::scratch(ctx, "kernel.attention", each * cpu::workers(ctx));
  const AttentionCall call{out, lse, q, blocks, segments, shape, plan};
  cpu::parallel(ctx, plan.tile_count * shape.kv_heads, [&](int64_t task, int worker) {
    float* mine = memory + worker * each;
    const AttentionScratch mem{mine + m * ld, mine + m * (ld + d), mine, mine + m * (ld + 2 * d),
                               ld};
    attention_tile(call, plan.tiles[task / shape.kv_heads], int(task % shape.kv_heads), mem);
  });
}
