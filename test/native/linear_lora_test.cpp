// The adapted linear layer: forward against fp64, every gradient against central differences, two
// stacked adapters, dropout's separate input, and accumulation over micro-batches.
#include <memory>

#include "harness.h"
#include "ops/linear_lora.h"

namespace reasonrec::test {
namespace {

// One linear with up to two adapters, packed the way the model packs them (panels.a holds s A).
struct Layer {
  int64_t in, out;
  std::vector<float> w, bias;
  struct Pair {
    int rank;
    float scale;
    std::vector<float> a, b;
    LoraPanels panels;
  };
  std::vector<Pair> pairs;
  std::vector<std::unique_ptr<PackedMatrix>> packed;
  LinearWeight weight;

  Layer(const Context& ctx, Random& random, int64_t in_, int64_t out_,
        const std::vector<int>& ranks)
      : in(in_), out(out_), w(random.normals(in * out)), bias(random.normals(out)) {
    weight.in = in;
    weight.out = out;
    weight.forward = pack(ctx, w, in, out, 1, in);
    weight.backward = pack(ctx, w, out, in, in, 1);
    weight.bias = bias.data();
    for (const int rank : ranks) {
      Pair p{rank, 0.5f + float(rank), random.normals(rank * in), random.normals(out * rank), {}};
      std::vector<float> scaled = p.a;
      for (float& x : scaled) x *= p.scale;
      p.panels.rank = rank;
      p.panels.a = pack(ctx, scaled, in, rank, 1, in);
      p.panels.a_t = pack(ctx, scaled, rank, in, in, 1);
      p.panels.b = pack(ctx, p.b, rank, out, 1, rank);
      p.panels.b_t = pack(ctx, p.b, out, rank, rank, 1);
      pairs.push_back(std::move(p));
    }
  }
  Panels pack(const Context& ctx, const std::vector<float>& x, int64_t k, int64_t n, int64_t ks,
              int64_t ns) {
    packed.push_back(std::make_unique<PackedMatrix>(ctx, x.data(), k, n, ks, ns));
    return packed.back()->panels;
  }
};

// y of the whole stack in fp64: the base with x, every adapter with x_lora.
std::vector<double> stacked_reference(const Layer& layer, const std::vector<double>& w,
                                      const std::vector<double>& bias,
                                      const std::vector<std::vector<double>>& a,
                                      const std::vector<std::vector<double>>& b,
                                      const std::vector<double>& x,
                                      const std::vector<double>& x_lora, int64_t t) {
  std::vector<double> y(size_t(t * layer.out)), part(y.size());
  const std::vector<double> none(w.size(), 0.0);
  reference::linear_lora(y.data(), x.data(), w.data(), bias.data(), nullptr, nullptr, 0, 0, t,
                         layer.in, layer.out);
  for (size_t i = 0; i < a.size(); ++i) {
    reference::linear_lora(part.data(), x_lora.data(), none.data(), nullptr, a[i].data(),
                           b[i].data(), layer.pairs[i].scale, layer.pairs[i].rank, t, layer.in,
                           layer.out);
    for (size_t j = 0; j < y.size(); ++j) y[j] += part[j];
  }
  return y;
}

struct Run {
  std::vector<float> y, dx, dx_lora, da, db, dw, dbias;
};

// Forward and backward, `rows` rows at a time, gradients accumulating; the last adapter learns.
Run run(const Context& ctx, const Layer& layer, const std::vector<float>& x,
        const std::vector<float>& x_lora, const std::vector<float>& dy, int64_t t, int64_t rows,
        bool split_dx) {
  const int64_t in = layer.in, out = layer.out;
  const Layer::Pair* last = layer.pairs.empty() ? nullptr : &layer.pairs.back();
  Run r{nans(t * out),
        nans(t * in),
        nans(t * in),
        {},
        {},
        std::vector<float>(size_t(out * in), 0.25f),
        std::vector<float>(size_t(out), 0.25f)};
  if (last) {
    r.da.assign(last->a.size(), 0.25f);
    r.db.assign(last->b.size(), 0.25f);
  }
  for (int64_t row = 0; row < t; row += rows) {
    const int64_t now = std::min(rows, t - row);
    std::vector<std::vector<float>> u;
    std::vector<LoraTerm> terms;
    for (const auto& p : layer.pairs) u.push_back(nans(now * p.rank));
    for (size_t i = 0; i < u.size(); ++i) terms.push_back({&layer.pairs[i].panels, u[i].data()});
    linear_lora_forward(ctx, r.y.data() + row * out, x.data() + row * in, x_lora.data() + row * in,
                        layer.weight, terms.data(), int(terms.size()), now);
    LinearGradients g;
    g.trained = int(terms.size()) - 1;
    g.scale = last ? last->scale : 1;
    g.da = last ? r.da.data() : nullptr;
    g.db = last ? r.db.data() : nullptr;
    g.dw = r.dw.data();
    g.dbias = r.dbias.data();
    linear_lora_backward(ctx, r.dx.data() + row * in,
                         split_dx ? r.dx_lora.data() + row * in : nullptr, false,
                         dy.data() + row * out, x.data() + row * in, x_lora.data() + row * in,
                         layer.weight, terms.data(), int(terms.size()), g, now);
  }
  return r;
}

}  // namespace

RR_TEST(
    "linear_lora: forward and every gradient against fp64 (0, 1 and 2 adapters, with and without "
    "dropout's input)") {
  Random random(51);
  for (const Kernels* kernels : cpu_kernels())
    for (const std::vector<int>& ranks : {std::vector<int>{}, {3}, {2, 5}})
      for (const bool dropped : {false, true}) {
        TestContext ctx(*kernels);
        const int64_t t = 4, in = 7, out = 9;
        const Layer layer(ctx, random, in, out, ranks);
        const auto x = random.normals(t * in), dy = random.normals(t * out);
        auto x_lora = x;
        if (dropped)
          for (size_t i = 0; i < x.size(); i += 3) x_lora[i] = 0;
        Run got = run(ctx, layer, x, x_lora, dy, t, t, dropped);
        for (auto* d : {&got.da, &got.db, &got.dw, &got.dbias})
          for (float& v : *d) v -= 0.25f;

        auto w = to_double(layer.w), bias = to_double(layer.bias), x64 = to_double(x),
             xl64 = to_double(x_lora);
        std::vector<std::vector<double>> a, b;
        for (const auto& p : layer.pairs) a.push_back(to_double(p.a)), b.push_back(to_double(p.b));
        const auto loss = [&] {
          const auto y = stacked_reference(layer, w, bias, a, b, x64, xl64, t);
          double sum = 0;
          for (size_t i = 0; i < y.size(); ++i) sum += y[i] * double(dy[i]);
          return sum;
        };
        const auto y = stacked_reference(layer, w, bias, a, b, x64, xl64, t);
        // Scaled adapters make sums of size ~ 100: errors of a few 1e-6 of that.
        expect_close(got.y.data(), y.data(), t * out, 2e-4, 1e-5, "y");
        const auto check_gradient = [&](std::vector<double>& v, const std::vector<float>& d,
                                        const char* what) {
          std::vector<double> want(v.size());
          for (size_t i = 0; i < v.size(); ++i) want[i] = central_difference(loss, v, i);
          expect_close(d.data(), want.data(), int64_t(d.size()), 2e-4, 1e-5, what);
        };
        check_gradient(w, got.dw, "dw");
        check_gradient(bias, got.dbias, "dbias");
        if (!a.empty()) {
          check_gradient(a.back(), got.da, "da");
          check_gradient(b.back(), got.db, "db");
        }
        if (dropped) {
          check_gradient(x64, got.dx, "dx of the base");
          check_gradient(xl64, got.dx_lora, "dx of the adapters");
        } else {  // one input: its gradient is the sum of both parts
          std::vector<double> both(x64.size());
          for (size_t i = 0; i < x64.size(); ++i)
            both[i] = central_difference(loss, x64, i) + central_difference(loss, xl64, i);
          expect_close(got.dx.data(), both.data(), t * in, 4e-4, 1e-5, "dx");
        }
      }
}

RR_TEST("linear_lora: rows and micro-batches do not change a bit") {
  Random random(52);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext one(*kernels, 1), three(*kernels, 3);
    const int64_t t = 120, in = 70, out = 99;
    const Layer layer(one, random, in, out, {8, 16});
    const auto x = random.normals(t * in), dy = random.normals(t * out);
    const Run whole = run(three, layer, x, x, dy, t, t, false);
    for (const int64_t rows : {1, 15, 60}) {
      const Run parts = run(one, layer, x, x, dy, t, rows, false);
      const std::string what = std::to_string(rows) + " rows at a time: ";
      expect_same_bits(parts.y.data(), whole.y.data(), t * out, what + "y");
      expect_same_bits(parts.dx.data(), whole.dx.data(), t * in, what + "dx");
      expect_same_bits(parts.da.data(), whole.da.data(), int64_t(whole.da.size()), what + "da");
      expect_same_bits(parts.db.data(), whole.db.data(), int64_t(whole.db.size()), what + "db");
      expect_same_bits(parts.dw.data(), whole.dw.data(), int64_t(whole.dw.size()), what + "dw");
      expect_same_bits(parts.dbias.data(), whole.dbias.data(), out, what + "dbias");
    }
  }
}

RR_TEST("linear_lora: dx accumulates, an empty adapter is no adapter") {
  Random random(53);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    const int64_t t = 5, in = 12, out = 8;
    const Layer layer(ctx, random, in, out, {});
    const auto x = random.normals(t * in), dy = random.normals(t * out);
    const LoraPanels empty;
    const LoraTerm none{&empty, nullptr};
    auto y = nans(t * out), plain = nans(t * out), dx = nans(t * in);
    linear_lora_forward(ctx, plain.data(), x.data(), x.data(), layer.weight, nullptr, 0, t);
    linear_lora_forward(ctx, y.data(), x.data(), x.data(), layer.weight, &none, 1, t);
    expect_same_bits(y.data(), plain.data(), t * out, "y");
    linear_lora_backward(ctx, dx.data(), nullptr, false, dy.data(), x.data(), x.data(),
                         layer.weight, &none, 1, {}, t);
    std::vector<float> sum(size_t(t * in), 3.0f);
    linear_lora_backward(ctx, sum.data(), nullptr, true, dy.data(), x.data(), x.data(),
                         layer.weight, &none, 1, {}, t);
    for (int64_t i = 0; i < t * in; ++i)
      expect(std::fabs(sum[i] - 3 - dx[i]) < 1e-5, "accumulated dx");
  }
}

}  // namespace reasonrec::test
