// The row-wise ops: kernels against the fp64 references, gradients against central differences of
// the references, and the identities of accumulation. Outputs start as NaN.
//
// Tolerances: inputs are unit normals and rows have at most a few hundred elements, so fp32 results
// carry a few 2^-24 per unit; 2e-6 of the value plus 2e-6 leaves room for sums of ~100 terms.
// Central differences in fp64 with step 1e-5 are good to about 1e-9, far below that.
#include "harness.h"
#include "ops/embedding.h"
#include "ops/layernorm.h"
#include "ops/relu.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"
#include "ops/sampled_head.h"
#include "ops/swiglu.h"

namespace reasonrec::test {
namespace {

constexpr double kAbsolute = 3e-6, kRelative = 3e-6;

std::vector<int64_t> widths(const Kernels& kernels) {
  const int64_t lanes = kernels.panel / 2;
  return {1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes + 3, 97};
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// d (sum of up * y) / d x for every x by central differences; run recomputes y.
template <class F>
std::vector<double> differences(F&& run, std::vector<double>& x, const std::vector<double>& up,
                                const std::vector<double>& y) {
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    out[i] = central_difference(
        [&] {
          run();
          return dot(up, y);
        },
        x, i);
  return out;
}

}  // namespace

RR_TEST("rmsnorm: forward and gradients") {
  Random random(21);
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t h : widths(*kernels))
      for (const int64_t t : {1, 3, 17}) {
        TestContext ctx(*kernels);
        const float eps = 1e-5f;
        const auto x = random.normals(t * h), w = random.normals(h), up = random.normals(t * h);
        auto y = nans(t * h), inv = nans(t), dx = nans(t * h);
        std::vector<double> x64 = to_double(x), w64 = to_double(w), y64(size_t(t * h)),
                            up64 = to_double(up);
        const auto run = [&] { reference::rmsnorm(y64.data(), x64.data(), w64.data(), t, h, eps); };
        run();
        rmsnorm_forward(ctx, y.data(), inv.data(), x.data(), w.data(), t, h, eps);
        expect_close(y.data(), y64.data(), t * h, kAbsolute, kRelative, "y");
        if (h > 20 || t > 3) continue;  // differences are quadratic in the size
        const auto want_x = differences(run, x64, up64, y64),
                   want_w = differences(run, w64, up64, y64);
        std::vector<float> dw(size_t(h), 0.5f);
        rmsnorm_backward(ctx, dx.data(), dw.data(), up.data(), x.data(), w.data(), inv.data(), t, h,
                         false);
        for (float& v : dw) v -= 0.5f;
        // dx cancels where h is small: its terms are as large as r |w dy|, r up to 1 / |x|.
        double largest = 1;
        for (const float r : inv) largest = std::max(largest, double(r));
        expect_close(dx.data(), want_x.data(), t * h, 1e-5 * largest, 1e-5, "dx");
        expect_close(dw.data(), want_w.data(), h, 1e-5, 1e-5, "dw");
        std::vector<float> twice = dx;
        rmsnorm_backward(ctx, twice.data(), nullptr, up.data(), x.data(), w.data(), inv.data(), t,
                         h, true);
        for (int64_t i = 0; i < t * h; ++i) expect(twice[i] == dx[i] + dx[i], "accumulate adds");
      }
}

RR_TEST("rmsnorm: rows do not depend on the batch; dw adds rows one by one") {
  Random random(22);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 3);
    const int64_t t = 301, h = 131;
    const auto x = random.normals(t * h), w = random.normals(h), up = random.normals(t * h);
    auto y = nans(t * h), inv = nans(t), dx = nans(t * h), one = nans(h), dx_one = nans(t * h);
    std::vector<float> dw(size_t(h), 0.25f), dw_one(size_t(h), 0.25f);
    rmsnorm_forward(ctx, y.data(), inv.data(), x.data(), w.data(), t, h, 1e-6f);
    rmsnorm_backward(ctx, dx.data(), dw.data(), up.data(), x.data(), w.data(), inv.data(), t, h,
                     false);
    for (int64_t row = 0; row < t; ++row) {
      const float* at = x.data() + row * h;
      rmsnorm_forward(ctx, one.data(), nullptr, at, w.data(), 1, h, 1e-6f);
      expect_same_bits(one.data(), y.data() + row * h, h, "row alone");
      rmsnorm_backward(ctx, dx_one.data() + row * h, dw_one.data(), up.data() + row * h, at,
                       w.data(), inv.data() + row, 1, h, false);
    }
    expect_same_bits(dx_one.data(), dx.data(), t * h, "dx");
    expect_same_bits(dw_one.data(), dw.data(), h, "dw of 301 x 1 and 1 x 301");
  }
}

RR_TEST("layernorm: forward and gradients") {
  Random random(31);
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t h : widths(*kernels))
      for (const int64_t t : {1, 3, 17}) {
        if (h == 1) continue;  // a row of one is its own mean: x - m is 0 and 1 / std is 1 / eps
        TestContext ctx(*kernels);
        const float eps = 1e-5f;
        const auto x = random.normals(t * h), w = random.normals(h), b = random.normals(h),
                   up = random.normals(t * h);
        auto y = nans(t * h), mean = nans(t), inv = nans(t), dx = nans(t * h);
        std::vector<double> x64 = to_double(x), w64 = to_double(w), b64 = to_double(b),
                            y64(size_t(t * h)), up64 = to_double(up);
        const auto run = [&] {
          reference::layernorm(y64.data(), x64.data(), w64.data(), b64.data(), t, h, eps);
        };
        run();
        layernorm_forward(ctx, y.data(), mean.data(), inv.data(), x.data(), w.data(), b.data(), t,
                          h, eps);
        // x - m loses digits where a row's values are close: 1 / std says how many.
        double largest = 1;
        for (const float r : inv) largest = std::max(largest, double(r));
        expect_close(y.data(), y64.data(), t * h, kAbsolute * largest, kRelative, "y");
        if (h > 20 || t > 3) continue;  // differences are quadratic in the size
        const auto want_x = differences(run, x64, up64, y64),
                   want_w = differences(run, w64, up64, y64),
                   want_b = differences(run, b64, up64, y64);
        std::vector<float> dw(size_t(h), 0.5f), db(size_t(h), 0.25f);
        layernorm_backward(ctx, dx.data(), dw.data(), db.data(), up.data(), x.data(), w.data(),
                           mean.data(), inv.data(), t, h, false);
        for (float& v : dw) v -= 0.5f;
        for (float& v : db) v -= 0.25f;
        expect_close(dx.data(), want_x.data(), t * h, 1e-5 * largest * largest, 1e-5, "dx");
        expect_close(dw.data(), want_w.data(), h, 1e-5 * largest, 1e-5, "dw");
        expect_close(db.data(), want_b.data(), h, 1e-5, 1e-5, "db");
        std::vector<float> twice = dx;
        layernorm_backward(ctx, twice.data(), nullptr, nullptr, up.data(), x.data(), w.data(),
                           mean.data(), inv.data(), t, h, true);
        for (int64_t i = 0; i < t * h; ++i) expect(twice[i] == dx[i] + dx[i], "accumulate adds");
      }
}

RR_TEST("layernorm: rows do not depend on the batch; dw and db add rows one by one") {
  Random random(32);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 3);
    const int64_t t = 301, h = 131;
    const auto x = random.normals(t * h), w = random.normals(h), b = random.normals(h),
               up = random.normals(t * h);
    auto y = nans(t * h), mean = nans(t), inv = nans(t), one = nans(h), dx = nans(t * h),
         dx_one = nans(t * h);
    std::vector<float> dw(size_t(h), 0.25f), dw_one = dw, db = dw, db_one = dw;
    layernorm_forward(ctx, y.data(), mean.data(), inv.data(), x.data(), w.data(), b.data(), t, h,
                      1e-6f);
    layernorm_backward(ctx, dx.data(), dw.data(), db.data(), up.data(), x.data(), w.data(),
                       mean.data(), inv.data(), t, h, false);
    for (int64_t row = 0; row < t; ++row) {
      const float* at = x.data() + row * h;
      layernorm_forward(ctx, one.data(), nullptr, nullptr, at, w.data(), b.data(), 1, h, 1e-6f);
      expect_same_bits(one.data(), y.data() + row * h, h, "row alone");
      layernorm_backward(ctx, dx_one.data() + row * h, dw_one.data(), db_one.data(),
                         up.data() + row * h, at, w.data(), mean.data() + row, inv.data() + row, 1,
                         h, false);
    }
    expect_same_bits(dx_one.data(), dx.data(), t * h, "dx");
    expect_same_bits(dw_one.data(), dw.data(), h, "dw of 301 x 1 and 1 x 301");
    expect_same_bits(db_one.data(), db.data(), h, "db of 301 x 1 and 1 x 301");
  }
}

RR_TEST("relu: against plain loops, gradients by differences, NaN stays") {
  Random random(33);
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t n : {1, 15, 16, 17, 30011}) {
      TestContext ctx(*kernels, 3);
      auto x = random.normals(n);
      const auto up = random.normals(n);
      auto y = nans(n), dx = nans(n);
      std::vector<double> x64 = to_double(x), y64(size_t(n), 0.0), up64 = to_double(up);
      const auto run = [&] { reference::relu(y64.data(), x64.data(), n); };
      run();
      relu_forward(ctx, y.data(), x.data(), n);
      relu_backward(ctx, dx.data(), up.data(), y.data(), n);
      expect_close(y.data(), y64.data(), n, 1e-30, 1e-30, "values are copied");
      if (n < 100) {
        const auto want = differences(run, x64, up64, y64);
        expect_close(dx.data(), want.data(), n, 1e-8, 1e-8, "dx");
      }
      for (int64_t i = 0; i < n; ++i) expect(dx[i] == (x[i] > 0 ? up[i] : 0), "dx");
      x[0] = std::numeric_limits<float>::quiet_NaN();
      relu_forward(ctx, x.data(), x.data(), n);
      expect(std::isnan(x[0]), "NaN");
    }
}

RR_TEST("sampled head: binary loss and gradients by differences, any thread count") {
  Random random(34);
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t h : {3, 16, 37}) {
      TestContext ctx(*kernels, 3), one(*kernels, 1);
      const int64_t t = 130, columns = 4, v = 7;
      const double positive_weight = 0.3, weight = 0.02;
      const auto hidden = random.normals(t * h), table = random.normals(v * h);
      std::vector<int32_t> ids;  // some twice in a row
      for (int64_t i = 0; i < t * columns; ++i) ids.push_back(int32_t(random.integer(v)));
      const SampledHead head{table.data(), ids.data(), t, columns, h};
      const auto run = [&](const Context& context, std::vector<float>& dhidden,
                           std::vector<float>& dtable) {
        auto scores = nans(t * columns);
        sampled_head_forward(context, scores.data(), hidden.data(), head);
        const double loss = binary_loss(scores.data(), head, positive_weight, weight);
        sampled_head_backward(context, dhidden.data(), dtable.data(), scores.data(), hidden.data(),
                              head);
        return loss;
      };
      auto dhidden = nans(t * h), other = nans(t * h);
      std::vector<float> dtable(size_t(v * h), 0.0f), other_table = dtable;
      const double loss = run(ctx, dhidden, dtable);
      expect(loss == run(one, other, other_table), "loss on one thread");
      expect_same_bits(other.data(), dhidden.data(), t * h, "dhidden on one thread");
      expect_same_bits(other_table.data(), dtable.data(), v * h, "dtable on one thread");

      std::vector<double> x64 = to_double(hidden), table64 = to_double(table);
      const auto want = [&] {
        return weight * reference::sampled_head_loss(x64.data(), table64.data(), ids.data(), t,
                                                     columns, h, positive_weight);
      };
      // Scores are sums of up to 37 products of unit normals: 1e-6 each; 520 of them, weighted.
      expect(std::fabs(loss - want()) <= 1e-6 * std::fabs(want()), "loss");
      std::vector<double> dx(size_t(h * 3)), de(size_t(v * h));
      for (size_t i = 0; i < dx.size(); ++i) dx[i] = central_difference(want, x64, i);
      for (size_t i = 0; i < de.size(); ++i) de[i] = central_difference(want, table64, i);
      expect_close(dhidden.data(), dx.data(), int64_t(dx.size()), 1e-6, 1e-5, "dhidden");
      expect_close(dtable.data(), de.data(), int64_t(de.size()), 1e-5, 1e-5, "dtable");
    }
}

RR_TEST("rope: against fp64; the inverse turns back") {
  Random random(23);
  for (const Kernels* kernels : cpu_kernels())
    for (const int d : {2, 6, 32, 34, 64, 128}) {
      TestContext ctx(*kernels);
      const int64_t t = 7, half = d / 2, positions = 40;
      const int heads = 3;
      std::vector<float> cos(size_t(positions * half)), sin(size_t(positions * half));
      for (int64_t i = 0; i < positions * half; ++i) {
        const double angle = double(i / half) * std::pow(10000.0, -2.0 * double(i % half) / d);
        cos[i] = float(std::cos(angle));
        sin[i] = float(std::sin(angle));
      }
      std::vector<int32_t> at;
      for (int64_t i = 0; i < t; ++i) at.push_back(int32_t(random.integer(positions)));
      const auto x = random.normals(t * heads * d);
      auto y = x;
      auto want = to_double(x);
      reference::rope(want.data(), at.data(), to_double(cos).data(), to_double(sin).data(), t,
                      heads, d);
      rope_forward(ctx, y.data(), at.data(), cos.data(), sin.data(), t, heads, d);
      expect_close(y.data(), want.data(), int64_t(y.size()), 1e-6, 1e-6, "rotated");
      rope_backward(ctx, y.data(), at.data(), cos.data(), sin.data(), t, heads, d);
      // A rotation's transpose is its inverse: turning back gives x up to the tables' rounding.
      expect_close(y.data(), to_double(x).data(), int64_t(y.size()), 1e-6, 1e-6, "turned back");
    }
}

RR_TEST("swiglu: forward and gradients, extreme gates") {
  Random random(24);
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t n : widths(*kernels)) {
      TestContext ctx(*kernels);
      auto gate = random.normals(n, 3);
      const auto up = random.normals(n), dy = random.normals(n);
      if (n > 4) gate[1] = -200, gate[2] = 200, gate[3] = 0;
      auto y = nans(n), dgate = nans(n), dup = nans(n);
      auto g64 = to_double(gate), u64 = to_double(up);
      const auto d64 = to_double(dy);
      std::vector<double> y64(size_t(n), 0.0);
      const auto run = [&] { reference::swiglu(y64.data(), g64.data(), u64.data(), n); };
      run();
      swiglu_forward(ctx, y.data(), gate.data(), up.data(), 1, n);
      expect_close(y.data(), y64.data(), n, kAbsolute, kRelative, "y");
      const auto want_g = differences(run, g64, d64, y64), want_u = differences(run, u64, d64, y64);
      swiglu_backward(ctx, dgate.data(), dup.data(), dy.data(), gate.data(), up.data(), 1, n);
      expect_close(dgate.data(), want_g.data(), n, 1e-5, 1e-5, "dgate");
      expect_close(dup.data(), want_u.data(), n, 1e-5, 1e-5, "dup");
    }
}

RR_TEST("exp: within a few ulp over the whole range, through the sigmoid of swiglu") {
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    std::vector<float> gate, up;
    for (int i = -87000; i <= 87000; ++i) {
      gate.push_back(float(i) * 1e-3f);
      up.push_back(i == 0 ? 1 : 1 / gate.back());  // y is then the sigmoid itself
    }
    const int64_t n = int64_t(gate.size());
    auto y = nans(n);
    swiglu_forward(ctx, y.data(), gate.data(), up.data(), 1, n);
    for (int64_t i = 0; i < n; ++i) {
      const double want = 1 / (1 + std::exp(-double(gate[i]))) * double(gate[i]) * double(up[i]);
      // exp 2 ulp, then four roundings: 6 half ulps of 6e-8 each.
      expect(std::fabs(y[i] - want) <= 5e-7 * std::fabs(want),
             "gate " + std::to_string(gate[i]) + ": " + std::to_string(y[i] / want - 1));
    }
  }
}

RR_TEST("embedding: rows, and a scatter-add in the order of the rows") {
  Random random(25);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 3);
    const int64_t t = 400, h = 53, v = 11;
    const auto table = random.normals(v * h), dy = random.normals(t * h);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < t; ++i) ids.push_back(int32_t(random.integer(v)));
    auto y = nans(t * h);
    embedding_forward(ctx, y.data(), ids.data(), Table{table.data(), nullptr, {}}, t, h);
    std::vector<double> want(size_t(t * h));
    reference::embedding(want.data(), ids.data(), to_double(table).data(), t, h);
    expect_close(y.data(), want.data(), t * h, 0, 1e-30, "rows are copied");
    std::vector<float> d(size_t(v * h), 0.125f), plain = d;
    embedding_backward(ctx, d.data(), ids.data(), dy.data(), t, h);
    for (int64_t row = 0; row < t; ++row)
      for (int64_t j = 0; j < h; ++j) plain[ids[row] * h + j] += dy[row * h + j];
    expect_same_bits(d.data(), plain.data(), v * h, "dtable");
  }
}

RR_TEST("add, scale, sum_rows: against plain loops, any thread count") {
  Random random(26);
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t n : {1, 15, 16, 17, 30011}) {
      TestContext ctx(*kernels, 3);
      const auto x = random.normals(n * 3);
      auto y = random.normals(n), want = y;
      kernels->add(ctx, y.data(), x.data(), n);
      for (int64_t i = 0; i < n; ++i) want[i] += x[i];
      expect_same_bits(y.data(), want.data(), n, "add");
      kernels->scale(ctx, y.data(), 0.3f, n);
      for (float& w : want) w *= 0.3f;
      expect_same_bits(y.data(), want.data(), n, "scale");
      kernels->sum_rows(ctx, y.data(), x.data(), 3, n);
      for (int64_t row = 0; row < 3; ++row)
        for (int64_t i = 0; i < n; ++i) want[i] += x[row * n + i];
      expect_same_bits(y.data(), want.data(), n, "sum_rows");
    }
}

RR_TEST("dropout: a pure function of seed, stream and element; keeps the mean") {
  Random random(27);
  std::vector<float> first;
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 3);
    const int64_t n = 40003;
    const float p = 0.3f;
    std::vector<float> x(size_t(n), 1.0f);
    auto y = nans(n), part = nans(n);
    kernels->dropout(ctx, y.data(), x.data(), 0, n, p, 5, 9);
    for (int64_t at = 0; at < n; at += 1001)
      kernels->dropout(ctx, part.data() + at, x.data() + at, at, std::min<int64_t>(1001, n - at), p,
                       5, 9);
    expect_same_bits(part.data(), y.data(), n, "pieces");
    double kept = 0;
    for (const float v : y) {
      expect(v == 0 || v == 1.0f / (1.0f - p), "0 or 1 / (1 - p)");
      kept += v != 0;
    }
    // Binomial: sd of the kept share is sqrt(p (1 - p) / n) = 0.0023; five of them.
    expect(std::fabs(kept / double(n) - 0.7) < 0.0115,
           "share kept " + std::to_string(kept / double(n)));
    if (first.empty()) first = y;
    expect_same_bits(y.data(), first.data(), n, "the same mask for every instruction set");
    kernels->dropout(ctx, part.data(), x.data(), 0, n, p, 5, 10);
    expect(part != y, "another stream, another mask");
  }
}

RR_TEST("sum_of_squares: fp64 accuracy, the same bits for any thread count") {
  Random random(28);
  for (const Kernels* kernels : cpu_kernels())
    for (const int64_t n : {0, 1, 7, 9, 4095, 4096, 4097, 100003}) {
      TestContext one(*kernels, 1), three(*kernels, 3);
      const auto x = random.normals(n);
      double want = 0;
      for (const float v : x) want += double(v) * double(v);
      const double got = kernels->sum_of_squares(one, x.data(), n);
      expect(std::fabs(got - want) <= 1e-13 * want, "sum");
      expect(got == kernels->sum_of_squares(three, x.data(), n), "threads");
    }
}

RR_TEST("adamw: five steps of the published formula in fp64") {
  Random random(29);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    const int64_t n = 1003;
    auto w = random.normals(n);
    std::vector<float> m(size_t(n), 0.0f), v(size_t(n), 0.0f);
    std::vector<double> w64 = to_double(w), m64(size_t(n), 0.0), v64(size_t(n), 0.0);
    const float lr = 1e-2f, b1 = 0.9f, b2 = 0.999f, eps = 1e-8f, decay = 0.1f, scale = 0.5f;
    for (int step = 1; step <= 5; ++step) {
      const auto g = random.normals(n);
      kernels->adamw(ctx, w.data(), m.data(), v.data(), g.data(), n, lr, b1, b2, eps, decay, scale,
                     step);
      for (int64_t i = 0; i < n; ++i) {
        const double grad = double(g[i]) * scale;
        m64[i] = b1 * m64[i] + (1 - double(b1)) * grad;
        v64[i] = b2 * v64[i] + (1 - double(b2)) * grad * grad;
        const double mhat = m64[i] / (1 - std::pow(double(b1), step)),
                     vhat = v64[i] / (1 - std::pow(double(b2), step));
        w64[i] -= lr * (decay * w64[i] + mhat / (std::sqrt(vhat) + eps));
      }
    }
    // Updates are of size lr; each step rounds w once or twice.
    expect_close(w.data(), w64.data(), n, 1e-6, 1e-6, "w");
    expect_close(m.data(), m64.data(), n, 1e-6, 1e-6, "m");
    expect_close(v.data(), v64.data(), n, 1e-8, 1e-5, "v");
  }
}

}  // namespace reasonrec::test
