// Attention over segment trees: against fp64 on forests and at tile edges, gradients against
// central differences, and the identity: a row decoded has the bits of the row trained.
#include "ops/attention.h"
#include "backend/cuda/attention_plan.h"
#include "device.h"

namespace reasonrec::test {
namespace {

struct Heads {
  int heads, kv_heads, d;
};

struct Input {
  AttentionShape shape;
  DataType type;
  int64_t t;
  std::vector<float> q, k, v;
  Input(Random& random, DataType type_, const Heads& h, int64_t rows)
      : shape{h.heads, h.kv_heads, h.d, 1 / std::sqrt(float(h.d))},
        type(type_),
        t(rows),
        q(representable(random.normals(t * h.heads * h.d), type)),
        k(representable(random.normals(t * h.kv_heads * h.d), type)),
        v(representable(random.normals(t * h.kv_heads * h.d), type)) {}
  cuda::AttentionHeads heads() const {
    return {shape.heads, shape.kv_heads, shape.head_dim, shape.scale};
  }
};

struct Output {
  std::vector<float> out, lse;
};

struct UploadedPlan {
  cuda::HostAttentionPlan host;
  DeviceArray<int32_t> words;
  UploadedPlan(const std::vector<Segment>& segments, const int32_t* slots,
               const AttentionShape& shape)
      : host(cuda::make_attention_plan(segments.data(), slots, int64_t(segments.size()), shape)),
        words(host.words) {}
  cuda::AttentionPlan plan() const { return host.on_device(words.data()); }
};

Output forward(const Input& in, const std::vector<Segment>& segments) {
  const UploadedPlan plan(segments, nullptr, in.shape);
  const DeviceValues q(in.type, in.q), k(in.type, in.k), v(in.type, in.v),
      out(in.type, int64_t(in.q.size()));
  const DeviceArray<float> lse(in.t * in.shape.heads);
  call(device_table().attention_forward(nullptr, in.type, out.data(), lse.data(), q.data(),
                                        k.data(), v.data(), plan.plan(), in.heads()));
  return {out.host(), lse.host()};
}

void reference_forward(const Input& in, const std::vector<Segment>& segments,
                       std::vector<double>& out, std::vector<double>& lse) {
  out.assign(in.q.size(), 0);
  lse.assign(size_t(in.t * in.shape.heads), 0);
  reference::attention(out.data(), lse.data(), to_double(in.q).data(), to_double(in.k).data(),
                       to_double(in.v).data(), segments.data(), int64_t(segments.size()), in.shape);
}

// bf16 rounds p before it multiplies the values: 2^-9 of values of size up to 4, weights summing
// to 1. fp32: scores reach about 4 and exp turns their error into a relative one.
double out_tolerance(DataType type) { return type == kBF16 ? 4 * kBf16Rounding : 5e-6; }

// A prompt with three children (one with children of its own), a lone segment, an empty one.
std::vector<Segment> forest() {
  return {{-1, 0, 19, 0}, {0, 19, 5, 0}, {0, 24, 1, 0},  {0, 25, 9, 0}, {3, 34, 2, 0},
          {3, 36, 0, 0},  {3, 36, 1, 0}, {-1, 37, 7, 0}, {-1, 44, 1, 0}};
}
constexpr int64_t kForestRows = 45;

}  // namespace

RR_TEST("cuda attention: forward over a forest against fp64") {
  under_every_order([](uint64_t seed) {
    Random random(151 + seed);
    for (const DataType type : kTypes)
      for (const Heads& h : {Heads{1, 1, 8}, {4, 2, 6}, {6, 2, 16}, {3, 3, 34}, {14, 2, 64}}) {
        if (h.d > 16 && int(seed % 2) != int(type)) continue;  // the large ones take turns
        const Input in(random, type, h, kForestRows);
        std::vector<double> out, lse;
        reference_forward(in, forest(), out, lse);
        const Output got = forward(in, forest());
        expect_near(got.out, out, type, out_tolerance(type), 5e-6, "out");
        expect_near(got.lse, lse, kF32, 3e-6, 1e-6, "lse");
      }
  });
}

RR_TEST("cuda attention: lengths at the edges of tiles and of steps, wide heads") {
  under_every_order([](uint64_t seed) {
    Random random(154 + seed);
    int turn = int(seed);
    for (const int64_t prompt : {1, 31, 32, 33, 65})
      for (const int64_t suffix : {1, 32, 33}) {
        if (turn++ % 3 != 0) continue;  // every pair under one order
        const DataType type = kTypes[turn % 2];
        const Heads h = turn % 4 == 0 ? Heads{1, 1, 128} : Heads{4, 2, 12};
        const Input in(random, type, h, prompt + suffix);
        const std::vector<Segment> segments{{-1, 0, prompt, 0}, {0, prompt, suffix, 0}};
        std::vector<double> out, lse;
        reference_forward(in, segments, out, lse);
        const Output got = forward(in, segments);
        expect_near(got.out, out, type, out_tolerance(type), 5e-6,
                    "prompt " + std::to_string(prompt) + " suffix " + std::to_string(suffix));
      }
  });
}

namespace {

// Trains a group (prompt and suffixes) in one batch, then decodes it from a cache: the prompt in
// one batch, each further token one row per sample. Every row must have the same bits.
void check_decoding(Random& random, DataType type, const Heads& h, int64_t prompt, int64_t group,
                    int64_t suffix) {
  const int64_t t = prompt + group * suffix;
  const Input in(random, type, h, t);
  std::vector<Segment> training{{-1, 0, prompt, 0}};
  for (int64_t g = 0; g < group; ++g) training.push_back({0, prompt + g * suffix, suffix, 0});
  const Output want = forward(in, training);

  // The cache: segments lie at slots with room between them, in another order.
  const int64_t wide = int64_t(h.heads) * h.d, narrow = int64_t(h.kv_heads) * h.d;
  std::vector<int32_t> slots{int32_t(group * (suffix + 3))};
  for (int64_t g = 0; g < group; ++g) slots.push_back(int32_t((group - 1 - g) * (suffix + 3)));
  const int64_t room = slots[0] + prompt;
  const DeviceValues cache_k(type, std::vector<float>(size_t(room * narrow), NAN)),
      cache_v(type, std::vector<float>(size_t(room * narrow), NAN));
  const auto step = [&](const std::vector<Segment>& segments, const std::vector<int32_t>& rows,
                        const std::vector<int32_t>& to) {
    const int64_t n = int64_t(rows.size());
    const DeviceArray<int32_t> from(rows), target(to);
    const DeviceValues all_q(type, in.q), all_k(type, in.k), all_v(type, in.v), q(type, n * wide),
        out(type, n * wide);
    const DeviceArray<float> lse(n * h.heads);
    const cuda::Table& table = device_table();
    call(table.move_rows(nullptr, type, q.data(), nullptr, all_q.data(), from.data(), n, wide));
    call(table.move_rows(nullptr, type, cache_k.data(), target.data(), all_k.data(), from.data(), n,
                         narrow));
    call(table.move_rows(nullptr, type, cache_v.data(), target.data(), all_v.data(), from.data(), n,
                         narrow));
    const UploadedPlan plan(segments, slots.data(), in.shape);
    call(table.attention_forward(nullptr, type, out.data(), lse.data(), q.data(), cache_k.data(),
                                 cache_v.data(), plan.plan(), in.heads()));
    const auto got = out.host(), got_lse = lse.host();
    for (int64_t i = 0; i < n; ++i) {
      const std::string what = "row " + std::to_string(rows[size_t(i)]);
      expect_same_bits(got.data() + i * wide, want.out.data() + rows[size_t(i)] * wide, wide, what);
      expect_same_bits(got_lse.data() + i * h.heads, want.lse.data() + rows[size_t(i)] * h.heads,
                       h.heads, what + " lse");
    }
  };
  std::vector<int32_t> rows, to;
  for (int32_t i = 0; i < prompt; ++i) {
    rows.push_back(i);
    to.push_back(slots[0] + i);
  }
  std::vector<Segment> segments{{-1, 0, prompt, 0}};
  for (int64_t g = 0; g < group; ++g) segments.push_back({0, prompt, 0, 0});
  step(segments, rows, to);
  for (int64_t i = 0; i < suffix; ++i) {
    segments = {{-1, 0, 0, prompt}};
    rows.clear();
    to.clear();
    for (int64_t g = 0; g < group; ++g) {
      segments.push_back({0, g, 1, i});
      rows.push_back(int32_t(prompt + g * suffix + i));
      to.push_back(slots[size_t(g) + 1] + int32_t(i));
    }
    step(segments, rows, to);
  }
}

}  // namespace

RR_TEST("cuda attention: a row decoded from the cache has the bits of the row trained") {
  under_every_order([](uint64_t seed) {
    Random random(157 + seed);
    for (const DataType type : kTypes) {
      check_decoding(random, type, {4, 2, 16}, seed == 0 ? 33 : 31, 3, 4);
      check_decoding(random, type, {7, 1, 10}, seed == 1 ? 1 : 32, 2, 34 - int64_t(seed) * 10);
    }
  });
}

RR_TEST("cuda attention: gradients against central differences of fp64") {
  under_every_order([](uint64_t seed) {
    Random random(161 + seed);
    const std::vector<Segment> segments{
        {-1, 0, 5, 0}, {0, 5, 2, 0}, {0, 7, 3, 0}, {2, 10, 1, 0}, {-1, 11, 4, 0}};
    for (const DataType type : kTypes) {
      const Input in(random, type, {4, 2, 4}, 15);
      const auto up = representable(random.normals(int64_t(in.q.size())), type);
      const Output saved = forward(in, segments);
      const UploadedPlan plan(segments, nullptr, in.shape);
      const int64_t n = int64_t(in.q.size()), m = int64_t(in.k.size());
      const DeviceValues q(type, in.q), k(type, in.k), v(type, in.v), dout(type, up),
          out(type, saved.out), dq(type, n), dk(type, m), dv(type, m);
      const DeviceArray<float> lse(saved.lse), delta(in.t * in.shape.heads);
      call(device_table().attention_backward(
          nullptr, type, dq.data(), dk.data(), dv.data(), delta.data(), dout.data(), out.data(),
          lse.data(), q.data(), k.data(), v.data(), plan.plan(), in.heads(), in.t));
      std::vector<double> q64 = to_double(in.q), k64 = to_double(in.k), v64 = to_double(in.v),
                          y(size_t(n), 0.0);
      const auto value = [&] {
        reference::attention(y.data(), nullptr, q64.data(), k64.data(), v64.data(), segments.data(),
                             int64_t(segments.size()), in.shape);
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += double(up[size_t(i)]) * y[size_t(i)];
        return sum;
      };
      // bf16: p and ds are rounded before they are multiplied, sums of some ten terms of size 1.
      const double absolute = type == kBF16 ? 12 * kBf16Rounding : 2e-5;
      const auto compare = [&](std::vector<double>& x, const std::vector<float>& got,
                               const char* what) {
        std::vector<double> want(x.size());
        for (size_t i = 0; i < x.size(); ++i) want[i] = central_difference(value, x, i);
        expect_near(got, want, type, absolute, 2e-5, what);
      };
      compare(q64, dq.host(), "dq");
      compare(k64, dk.host(), "dk");
      compare(v64, dv.host(), "dv");
    }
  });
}

namespace {

// dq, dk, dv in plain fp64 loops over the keys a row sees; for shapes too large for differences.
void plain_gradients(const Input& in, const std::vector<Segment>& segments,
                     const std::vector<float>& up, std::vector<double>& dq, std::vector<double>& dk,
                     std::vector<double>& dv) {
  const int d = in.shape.head_dim, heads = in.shape.heads, group = heads / in.shape.kv_heads;
  std::vector<double> out, lse;
  reference_forward(in, segments, out, lse);
  dq.assign(in.q.size(), 0);
  dk.assign(in.k.size(), 0);
  dv.assign(in.v.size(), 0);
  for (size_t s = 0; s < segments.size(); ++s)
    for (int64_t i = 0; i < segments[s].rows; ++i)
      for (int head = 0; head < heads; ++head) {
        const size_t row = size_t((segments[s].row_begin + i) * heads + head);
        double delta = 0;
        for (int j = 0; j < d; ++j) delta += double(up[row * d + j]) * out[row * d + j];
        for (int32_t a = int32_t(s); a >= 0; a = segments[size_t(a)].parent)
          for (int64_t n = 0; n < (a == int32_t(s) ? i + 1 : segments[size_t(a)].rows); ++n) {
            const size_t key =
                size_t((segments[size_t(a)].row_begin + n) * in.shape.kv_heads + head / group);
            double score = 0, dp = 0;
            for (int j = 0; j < d; ++j) {
              score += double(in.q[row * d + j]) * double(in.k[key * d + j]);
              dp += double(up[row * d + j]) * double(in.v[key * d + j]);
            }
            const double p = std::exp(score * double(in.shape.scale) - lse[row]);
            const double ds = double(in.shape.scale) * p * (dp - delta);
            for (int j = 0; j < d; ++j) {
              dq[row * d + j] += ds * double(in.k[key * d + j]);
              dk[key * d + j] += ds * double(in.q[row * d + j]);
              dv[key * d + j] += p * double(up[row * d + j]);
            }
          }
      }
}

}  // namespace

RR_TEST("cuda attention: gradients of longer trees and wide heads against plain loops") {
  under_every_order([](uint64_t seed) {
    Random random(165 + seed);
    const std::vector<Segment> segments{
        {-1, 0, 66, 0}, {0, 66, 9, 0}, {0, 75, 35, 0}, {-1, 110, 3, 0}};
    const Heads shapes[] = {{3, 1, 6}, {2, 2, 64}, {1, 1, 128}};
    const DataType type = kTypes[(seed + 1) % 2];
    const Input in(random, type, shapes[seed], 113);
    const auto up = representable(random.normals(int64_t(in.q.size())), type);
    const Output saved = forward(in, segments);
    const UploadedPlan plan(segments, nullptr, in.shape);
    const int64_t n = int64_t(in.q.size()), m = int64_t(in.k.size());
    const DeviceValues q(type, in.q), k(type, in.k), v(type, in.v), dout(type, up),
        out(type, saved.out), dq(type, n), dk(type, m), dv(type, m);
    const DeviceArray<float> lse(saved.lse), delta(in.t * in.shape.heads);
    call(device_table().attention_backward(
        nullptr, type, dq.data(), dk.data(), dv.data(), delta.data(), dout.data(), out.data(),
        lse.data(), q.data(), k.data(), v.data(), plan.plan(), in.heads(), in.t));
    std::vector<double> want_q, want_k, want_v;
    plain_gradients(in, segments, up, want_q, want_k, want_v);
    const double absolute = type == kBF16 ? 24 * kBf16Rounding : 5e-5;
    expect_near(dq.host(), want_q, type, absolute, 2e-5, "dq");
    expect_near(dk.host(), want_k, type, absolute, 2e-5, "dk");
    expect_near(dv.host(), want_v, type, absolute, 2e-5, "dv");
  });
}

RR_TEST("cuda attention: heads it cannot do are refused") {
  const std::vector<Segment> one{{-1, 0, 1, 0}};
  const UploadedPlan plan(one, nullptr, {1, 1, 4, 1});
  for (const cuda::AttentionHeads& bad :
       {cuda::AttentionHeads{1, 1, 5, 1}, {1, 1, 130, 1}, {3, 2, 4, 1}, {65, 1, 4, 1}})
    expect(device_table().attention_forward(nullptr, kF32, nullptr, nullptr, nullptr, nullptr,
                                            nullptr, plan.plan(), bad) != 0,
           "head_dim " + std::to_string(bad.head_dim) + ", heads " + std::to_string(bad.heads));
}

}  // namespace reasonrec::test
