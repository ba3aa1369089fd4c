// Attention over segment trees: against fp64, gradients against central differences, and the
// identity that the whole project rests on: a row decoded alone has the bits of the row trained.
#include "ops/attention.h"
#include "harness.h"

namespace reasonrec::test {
namespace {

// q, k, v for T rows, and blocks that hold the keys of a list of segments.
struct Input {
  AttentionShape shape;
  int64_t t;
  std::vector<float> q, k, v;
  Input(Random& random, int heads, int kv_heads, int d, int64_t rows)
      : shape{heads, kv_heads, d, 1 / std::sqrt(float(d))},
        t(rows),
        q(random.normals(t * heads * d)),
        k(random.normals(t * kv_heads * d)),
        v(random.normals(t * kv_heads * d)) {}
  int64_t wide() const { return int64_t(shape.heads) * shape.head_dim; }
};

struct Blocks {
  std::vector<Buffer> memory;
  std::vector<KvBlock> blocks;
  void add(const Kernels& kernels, const AttentionShape& shape, int64_t keys) {
    const int64_t panel = kernels.panel, d = shape.head_dim;
    const int64_t capacity = std::max<int64_t>(panel, (keys + panel - 1) / panel * panel);
    memory.emplace_back(shape.kv_heads * capacity * d);
    memory.emplace_back(shape.kv_heads * capacity * ((d + panel - 1) / panel * panel));
    blocks.push_back({memory[memory.size() - 2].data(), memory.back().data(), capacity});
  }
};

struct Output {
  std::vector<float> out, lse;
};

Output forward(const Context& ctx, const Input& in, const std::vector<Segment>& segments) {
  Blocks blocks;
  for (const Segment& s : segments) blocks.add(*ctx.kernels, in.shape, s.past + s.rows);
  Output o{nans(in.t * in.wide()), nans(in.t * in.shape.heads)};
  attention_forward(ctx, o.out.data(), o.lse.data(), in.q.data(), in.k.data(), in.v.data(),
                    blocks.blocks.data(), segments.data(), int64_t(segments.size()), in.shape);
  return o;
}

// A forest: a prompt with three children (one with children of its own), a lone segment, an empty
// one.
std::vector<Segment> forest() {
  return {{-1, 0, 19, 0}, {0, 19, 5, 0}, {0, 24, 1, 0},  {0, 25, 9, 0}, {3, 34, 2, 0},
          {3, 36, 0, 0},  {3, 36, 1, 0}, {-1, 37, 7, 0}, {-1, 44, 1, 0}};
}
constexpr int64_t kForestRows = 45;

struct Heads {
  int heads, kv_heads, d;
};
const Heads kShapes[] = {{1, 1, 8}, {4, 2, 6}, {6, 2, 16}, {3, 3, 34}, {14, 2, 64}, {8, 1, 5}};

}  // namespace

RR_TEST("attention: forward over a forest against fp64") {
  Random random(31);
  for (const Kernels* kernels : cpu_kernels())
    for (const Heads& h : kShapes) {
      TestContext ctx(*kernels, 3);
      const Input in(random, h.heads, h.kv_heads, h.d, kForestRows);
      const auto segments = forest();
      const Output got = forward(ctx, in, segments);
      std::vector<double> out(size_t(in.t * in.wide())), lse(size_t(in.t * h.heads));
      reference::attention(out.data(), lse.data(), to_double(in.q).data(), to_double(in.k).data(),
                           to_double(in.v).data(), segments.data(), int64_t(segments.size()),
                           in.shape);
      // Scores reach about 4; exp turns their error of a few 2^-24 into a relative one of the same
      // size.
      expect_close(got.out.data(), out.data(), int64_t(out.size()), 5e-6, 5e-6, "out");
      expect_close(got.lse.data(), lse.data(), int64_t(lse.size()), 3e-6, 1e-6, "lse");
    }
}

RR_TEST("attention: lengths at tile edges against fp64") {
  Random random(32);
  for (const Kernels* kernels : cpu_kernels()) {
    const int64_t p = kernels->panel;
    for (const int64_t prompt : {int64_t(1), p - 1, p, p + 1, 2 * p + 1, int64_t(101)})
      for (const int64_t suffix : {int64_t(1), p - 1, p, p + 1}) {
        TestContext ctx(*kernels);
        const Input in(random, 4, 2, 20, prompt + suffix);
        const std::vector<Segment> segments{{-1, 0, prompt, 0}, {0, prompt, suffix, 0}};
        const Output got = forward(ctx, in, segments);
        std::vector<double> out(size_t(in.t * in.wide()));
        reference::attention(out.data(), nullptr, to_double(in.q).data(), to_double(in.k).data(),
                             to_double(in.v).data(), segments.data(), 2, in.shape);
        expect_close(got.out.data(), out.data(), int64_t(out.size()), 5e-6, 5e-6,
                     "prompt " + std::to_string(prompt) + " suffix " + std::to_string(suffix));
      }
  }
}

namespace {

// Trains a group (prompt + `group` suffixes) in one batch, then decodes it: the prompt in one
// batch, each further token one row per sample, all samples together. Every row must have the same
// bits.
void check_decoding(const Kernels& kernels, Random& random, const Heads& h, int64_t prompt,
                    int64_t group, int64_t suffix, bool shared) {
  TestContext ctx(kernels, 2);
  const int64_t t = (shared ? prompt : 0) + group * (suffix + (shared ? 0 : prompt));
  const Input in(random, h.heads, h.kv_heads, h.d, t);
  const int64_t length = suffix + (shared ? 0 : prompt), base = shared ? prompt : 0;
  std::vector<Segment> training;
  if (shared) training.push_back({-1, 0, prompt, 0});
  for (int64_t g = 0; g < group; ++g)
    training.push_back({shared ? 0 : -1, base + g * length, length, 0});
  const Output want = forward(ctx, in, training);

  Blocks blocks;
  if (shared) blocks.add(kernels, in.shape, prompt);
  for (int64_t g = 0; g < group; ++g)
    blocks.add(kernels, in.shape, length + 40);  // room to spare, as in decoding
  const auto step = [&](const std::vector<Segment>& segments, const std::vector<int64_t>& rows) {
    Input now = in;
    now.t = int64_t(rows.size());
    const int64_t q = in.wide(), kv = int64_t(h.kv_heads) * h.d;
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(in.q.begin() + rows[i] * q, q, now.q.begin() + int64_t(i) * q);
      std::copy_n(in.k.begin() + rows[i] * kv, kv, now.k.begin() + int64_t(i) * kv);
      std::copy_n(in.v.begin() + rows[i] * kv, kv, now.v.begin() + int64_t(i) * kv);
    }
    auto out = nans(now.t * q), lse = nans(now.t * h.heads);
    attention_forward(ctx, out.data(), lse.data(), now.q.data(), now.k.data(), now.v.data(),
                      blocks.blocks.data(), segments.data(), int64_t(segments.size()), in.shape);
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::string what = std::string(kernels.name) + " prompt " + std::to_string(prompt) +
                               " group " + std::to_string(group) + " row " +
                               std::to_string(rows[i]);
      expect_same_bits(out.data() + int64_t(i) * q, want.out.data() + rows[i] * q, q, what);
      expect_same_bits(lse.data() + int64_t(i) * h.heads, want.lse.data() + rows[i] * h.heads,
                       h.heads, what);
    }
  };
  const int64_t prefill = shared ? 0 : prompt;
  std::vector<Segment> segments;
  std::vector<int64_t> rows;
  if (shared) {
    segments.push_back({-1, 0, prompt, 0});
    for (int64_t i = 0; i < prompt; ++i) rows.push_back(i);
  } else {
    for (int64_t g = 0; g < group; ++g) {
      segments.push_back({-1, g * prompt, prompt, 0});
      for (int64_t i = 0; i < prompt; ++i) rows.push_back(g * length + i);
    }
  }
  step(segments, rows);
  for (int64_t i = 0; i < suffix; ++i) {
    segments.clear();
    rows.clear();
    if (shared) segments.push_back({-1, 0, 0, prompt});
    for (int64_t g = 0; g < group; ++g) {
      segments.push_back({shared ? 0 : -1, g, 1, prefill + i});
      rows.push_back(base + g * length + prefill + i);
    }
    step(segments, rows);
  }
}

}  // namespace

RR_TEST(
    "attention: a row decoded has the bits of the row trained (groups 1, 3, 8; prompts at tile "
    "edges)") {
  Random random(33);
  for (const Kernels* kernels : cpu_kernels()) {
    const int64_t p = kernels->panel;
    for (const int64_t prompt : {int64_t(1), p - 1, p, p + 1, 2 * p - 1, 2 * p, 2 * p + 1})
      for (const int64_t group : {1, 3, 8})
        for (const bool shared : {true, false}) {
          check_decoding(*kernels, random, {4, 2, 16}, prompt, group, p + 2, shared);
          check_decoding(*kernels, random, {7, 1, 10}, prompt, group, 3, shared);
        }
  }
}

RR_TEST("attention: bits do not depend on threads or on what else is in the batch") {
  Random random(34);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext one(*kernels, 1), three(*kernels, 3);
    const Input in(random, 6, 2, 16, kForestRows);
    const auto segments = forest();
    const Output a = forward(one, in, segments), b = forward(three, in, segments);
    expect_same_bits(b.out.data(), a.out.data(), int64_t(a.out.size()), "threads");
    expect_same_bits(b.lse.data(), a.lse.data(), int64_t(a.lse.size()), "threads, lse");
    const std::vector<Segment> alone{{-1, 37, 7, 0}};
    const Output c = forward(three, in, alone);
    expect_same_bits(c.out.data() + 37 * in.wide(), a.out.data() + 37 * in.wide(), 7 * in.wide(),
                     "one tree alone");
  }
}

namespace {

struct Gradient {
  std::vector<float> dq, dk, dv;
};
Gradient backward(const Context& ctx, const Input& in, const std::vector<Segment>& segments,
                  const std::vector<float>& dout) {
  const Output o = forward(ctx, in, segments);
  Gradient g{nans(int64_t(in.q.size())), nans(int64_t(in.k.size())), nans(int64_t(in.v.size()))};
  attention_backward(ctx, g.dq.data(), g.dk.data(), g.dv.data(), dout.data(), o.out.data(),
                     o.lse.data(), in.q.data(), in.k.data(), in.v.data(), segments.data(),
                     int64_t(segments.size()), in.shape);
  return g;
}

}  // namespace

RR_TEST("attention: gradients against central differences of the fp64 reference") {
  Random random(35);
  for (const Kernels* kernels : cpu_kernels())
    for (const Heads& h : {Heads{2, 1, 3}, Heads{2, 2, 4}}) {
      TestContext ctx(*kernels);
      // A prompt longer than a panel of the portable path, two children, a grandchild, another
      // tree.
      const std::vector<Segment> segments{
          {-1, 0, 9, 0}, {0, 9, 2, 0}, {0, 11, 3, 0}, {2, 14, 1, 0}, {-1, 15, 2, 0}};
      const Input in(random, h.heads, h.kv_heads, h.d, 17);
      const auto dout = random.normals(int64_t(in.q.size()));
      const Gradient got = backward(ctx, in, segments, dout);
      auto q = to_double(in.q), k = to_double(in.k), v = to_double(in.v);
      std::vector<double> out(in.q.size());
      const auto loss = [&] {
        reference::attention(out.data(), nullptr, q.data(), k.data(), v.data(), segments.data(),
                             int64_t(segments.size()), in.shape);
        double sum = 0;
        for (size_t i = 0; i < out.size(); ++i) sum += out[i] * double(dout[i]);
        return sum;
      };
      const auto check_all = [&](std::vector<double>& x, const std::vector<float>& d,
                                 const char* what) {
        std::vector<double> want(x.size());
        for (size_t i = 0; i < x.size(); ++i) want[i] = central_difference(loss, x, i);
        // dp - D cancels: the error is that of dot products of size ~ 10, a few 1e-6.
        expect_close(d.data(), want.data(), int64_t(x.size()), 1e-5, 1e-5, what);
      };
      check_all(q, got.dq, "dq");
      check_all(k, got.dk, "dk");
      check_all(v, got.dv, "dv");
    }
}

RR_TEST(
    "attention: gradients of long segments agree with fp64 differences along random directions") {
  Random random(36);
  for (const Kernels* kernels : cpu_kernels())
    for (const Heads& h : {Heads{4, 2, 20}, Heads{7, 1, 64}}) {
      TestContext ctx(*kernels);
      const int64_t p = kernels->panel;
      const std::vector<Segment> segments{{-1, 0, 2 * p + 1, 0},
                                          {0, 2 * p + 1, p - 1, 0},
                                          {0, 3 * p, p + 1, 0},
                                          {-1, 4 * p + 1, p, 0}};
      const Input in(random, h.heads, h.kv_heads, h.d, 5 * p + 1);
      const auto dout = random.normals(int64_t(in.q.size()));
      const Gradient got = backward(ctx, in, segments, dout);
      const auto loss = [&](double step, const std::vector<float>& direction, int which) {
        auto q = to_double(in.q), k = to_double(in.k), v = to_double(in.v);
        auto& x = which == 0 ? q : which == 1 ? k : v;
        for (size_t i = 0; i < x.size(); ++i) x[i] += step * double(direction[i]);
        std::vector<double> out(in.q.size());
        reference::attention(out.data(), nullptr, q.data(), k.data(), v.data(), segments.data(),
                             int64_t(segments.size()), in.shape);
        double sum = 0;
        for (size_t i = 0; i < out.size(); ++i) sum += out[i] * double(dout[i]);
        return sum;
      };
      for (int which = 0; which < 3; ++which) {
        const auto& d = which == 0 ? got.dq : which == 1 ? got.dk : got.dv;
        const auto direction = random.normals(int64_t(d.size()));
        const double h_step = 1e-5;
        const double want =
            (loss(h_step, direction, which) - loss(-h_step, direction, which)) / (2 * h_step);
        double sum = 0, scale = 0;
        for (size_t i = 0; i < d.size(); ++i) {
          sum += double(d[i]) * double(direction[i]);
          scale += std::fabs(double(d[i]) * double(direction[i]));
        }
        // Rounding errors of single elements (1e-6 of their size) add like a random walk: far below
        // 1e-5 of the sum of sizes.
        expect(std::fabs(sum - want) <= 1e-5 * scale,
               "directional derivative " + std::to_string(which) + ": " + std::to_string(sum) +
                   " against " + std::to_string(want));
      }
    }
}

RR_TEST("attention: gradients have the same bits for any thread count and any company") {
  Random random(37);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext one(*kernels, 1), three(*kernels, 3);
    const Input in(random, 6, 3, 16, kForestRows);
    const auto dout = random.normals(int64_t(in.q.size()));
    const auto segments = forest();
    const Gradient a = backward(one, in, segments, dout), b = backward(three, in, segments, dout);
    expect_same_bits(b.dq.data(), a.dq.data(), int64_t(a.dq.size()), "dq");
    expect_same_bits(b.dk.data(), a.dk.data(), int64_t(a.dk.size()), "dk");
    expect_same_bits(b.dv.data(), a.dv.data(), int64_t(a.dv.size()), "dv");
    const Gradient alone = backward(three, in, {{-1, 37, 7, 0}}, dout);
    const int64_t kv = int64_t(in.shape.kv_heads) * in.shape.head_dim;
    expect_same_bits(alone.dk.data() + 37 * kv, a.dk.data() + 37 * kv, 7 * kv,
                     "one tree alone, dk");
    expect_same_bits(alone.dq.data() + 37 * in.wide(), a.dq.data() + 37 * in.wide(), 7 * in.wide(),
                     "dq");
  }
}

RR_TEST("attention: bad segments are refused") {
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    Random random(38);
    const Input in(random, 2, 1, 4, 4);
    Blocks blocks;
    blocks.add(*kernels, in.shape, 1);
    auto out = nans(4 * in.wide());
    const auto code = [&](const Segment& s) -> std::string {
      try {
        attention_forward(ctx, out.data(), nullptr, in.q.data(), in.k.data(), in.v.data(),
                          blocks.blocks.data(), &s, 1, in.shape);
      } catch (const Error& error) {
        return error.code;
      }
      return "";
    };
    expect(code({-1, 0, 1, blocks.blocks[0].capacity}) == "RR_BAD_SEGMENTS", "beyond the block");
    expect(code({0, 0, 1, 0}) == "RR_BAD_SEGMENTS", "its own parent");
  }
}

}  // namespace reasonrec::test
