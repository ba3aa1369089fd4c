// Products in bf16 (Panels::compute): the left side is rounded, sums are fp32. Every instruction
// set against fp64 at tile edges, within three times what rounding the operands alone costs; and
// the identities, which hold in this mode as in fp32. Whole decoders and policies in this mode are
// in decoder_test, train_test and decode_test.
#include "core/bfloat16.h"
#include "model/panel_store.h"
#include "ops/head_loss.h"
#include "tiny_decoder.h"

namespace reasonrec::test {
namespace {

struct PairMatrix {
  PanelStore store;
  Panels panels;
  PairMatrix(const Context& ctx, const float* b, int64_t k, int64_t n, int64_t ks, int64_t ns) {
    store.add(k, n);
    store.allocate(*ctx.kernels, WeightType::kBF16, Compute::kBF16);
    store.pack(ctx, 0, b, ks, ns);
    panels = store.at(0);
  }
};

std::vector<double> rounded(const std::vector<float>& x) {
  std::vector<double> out;
  for (const float v : x) out.push_back(double(from_bfloat16(to_bfloat16(v))));
  return out;
}

std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b, int64_t m,
                            int64_t n, int64_t k) {
  std::vector<double> c(size_t(m * n), 0.0);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t kk = 0; kk < k; ++kk)
      for (int64_t j = 0; j < n; ++j)
        c[size_t(i * n + j)] += a[size_t(i * k + kk)] * b[size_t(kk * n + j)];
  return c;
}

template <class T>
double worst(const std::vector<T>& got, const std::vector<double>& want) {
  double most = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::fabs(double(got[i]) - want[i]);
    most = error <= most ? most : error;
    if (std::isnan(error)) return error;
  }
  return most;
}

// fp32 sums of k exact products of unit normals, as in gemm_test.
double tolerance(int64_t k) { return 4 * 6e-8 * double(k + 8); }

void check_product(const Kernels& kernels, Random& random, int64_t m, int64_t n, int64_t k) {
  TestContext ctx(kernels);
  const auto a = random.normals(m * k), b = random.normals(k * n);
  const PairMatrix half(ctx, b.data(), k, n, n, 1);
  const GemmTerm term{a.data(), k, 1, half.panels, k};
  auto c = nans(m * n);
  kernels.gemm(ctx, c.data(), n, m, n, &term, 1, GemmStart::kZero, nullptr);
  const auto exact = product(to_double(a), to_double(b), m, n, k),
             nearest = product(rounded(a), rounded(b), m, n, k);
  const std::string what = std::string(kernels.name) + " M " + std::to_string(m) + " N " +
                           std::to_string(n) + " K " + std::to_string(k);
  expect_close(c.data(), nearest.data(), m * n, tolerance(k), 1e-6, what + ", rounded operands");
  expect(worst(c, exact) <= 3 * worst(nearest, exact) + tolerance(k),
         what + ": within three times what rounding costs");
}

}  // namespace

RR_TEST("bf16 products: every instruction set against fp64 at tile edges") {
  Random random(191);
  for (const Kernels* kernels : cpu_kernels()) {
    const int64_t panel = kernels->panel;
    for (const int64_t m : {1, 2, 3, 4, 6, 7, 11, 12, 13, 25, 127})
      for (const int64_t n : {int64_t(1), panel - 1, panel, panel + 1})
        check_product(*kernels, random, m, n, 37);
    for (const int64_t n : {panel * 4 - 1, panel * 8 + 1, int64_t(211)})
      for (const int64_t m : {1, 2, 3, 7, 121}) check_product(*kernels, random, m, n, 61);
    for (const int64_t k : {1, 2, 3, 15, 16, 17, 511, 512, 513, 1031})
      check_product(*kernels, random, 14, 67, k);
  }
}

RR_TEST("bf16 products: a row's bits do not depend on M, threads, layout of A or what follows") {
  Random random(192);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext one(*kernels, 1), three(*kernels, 3);
    const int64_t m = 131, n = kernels->panel * 6 + 5, k = 701, r = 5;
    const auto a = random.normals(m * k), b = random.normals(k * n), u = random.normals(m * r),
               low = random.normals(r * n), bias = random.normals(n);
    const PairMatrix base(one, b.data(), k, n, n, 1), rank(one, low.data(), r, n, n, 1);
    const PackedMatrix plain(one, low.data(), r, n, n, 1);  // terms may differ in their products
    const auto run = [&](const Context& ctx, std::vector<float>& c, int64_t rows) {
      for (int64_t row = 0; row < m; row += rows) {
        const GemmTerm terms[3] = {{a.data() + row * k, k, 1, base.panels, k},
                                   {u.data() + row * r, r, 1, rank.panels, r},
                                   {u.data() + row * r, r, 1, plain.panels, r}};
        kernels->gemm(ctx, c.data() + row * n, n, std::min(rows, m - row), n, terms, 3,
                      GemmStart::kBias, bias.data());
      }
    };
    auto whole = nans(m * n), again = nans(m * n);
    run(three, whole, m);
    for (const int64_t rows : {1, 2, 3, 4, 7, 8, 12, 13, 29, 131}) {
      run(rows % 2 ? one : three, again, rows);
      expect_same_bits(again.data(), whole.data(), m * n, std::to_string(rows) + " rows at a time");
    }
    const GemmTerm by_rows{a.data(), k, 1, base.panels, k};
    kernels->gemm(three, whole.data(), n, m, n, &by_rows, 1, GemmStart::kZero, nullptr);
    std::vector<float> columns(size_t(m * k)), strided(size_t(m * k * 2));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < k; ++j)
        columns[size_t(j * m + i)] = strided[size_t((j * m + i) * 2)] = a[size_t(i * k + j)];
    for (const GemmTerm& term : {GemmTerm{columns.data(), 1, m, base.panels, k},
                                 GemmTerm{strided.data(), 2, 2 * m, base.panels, k}}) {
      kernels->gemm(three, again.data(), n, m, n, &term, 1, GemmStart::kZero, nullptr);
      expect_same_bits(again.data(), whole.data(), m * n, "A in another layout");
    }
  }
}

RR_TEST("bf16 products: NaN and infinity in a row reach that row's sums and no other") {
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    const int64_t m = 5, n = 40, k = 33;
    const std::vector<float> b(size_t(k * n), 1.0f);
    const PairMatrix half(ctx, b.data(), k, n, n, 1);
    for (const float odd :
         {std::numeric_limits<float>::quiet_NaN(), std::bit_cast<float>(0x7F800001u),
          std::bit_cast<float>(0xFFFFFFFFu), std::numeric_limits<float>::infinity()})
      for (const int64_t at : {int64_t(0), int64_t(17), k - 1}) {
        std::vector<float> a(size_t(m * k), 1.0f);
        a[size_t(2 * k + at)] = odd;
        auto c = nans(m * n);
        const GemmTerm term{a.data(), k, 1, half.panels, k};
        kernels->gemm(ctx, c.data(), n, m, n, &term, 1, GemmStart::kZero, nullptr);
        for (int64_t i = 0; i < m * n; ++i)
          expect(std::isfinite(c[size_t(i)]) == (i / n != 2), "only row 2");
      }
  }
}

RR_TEST("bf16 products: the head's log-probs and gradients, rows alone and together") {
  Random random(193);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext one(*kernels, 1), three(*kernels, 3);
    const int64_t t = 107, h = 41, v = 1111;
    const HeadShape shape{t, h, v, 1.25f};
    const auto hidden = random.normals(t * h), weight = random.normals(v * h, 0.3),
               dlogprob = random.normals(t);
    std::vector<int32_t> targets;
    for (int64_t i = 0; i < t; ++i) targets.push_back(int32_t(random.integer(v)));
    const PairMatrix forward(one, weight.data(), h, v, 1, h), back(one, weight.data(), v, h, h, 1);
    struct Result {
      std::vector<float> logprob, lse, dhidden;
    };
    const auto run = [&](const Context& ctx, int64_t rows) {
      Result r{nans(t), nans(t), nans(t * h)};
      for (int64_t row = 0; row < t; row += rows) {
        HeadShape part = shape;
        part.t = std::min(rows, t - row);
        const float* x = hidden.data() + row * h;
        head_loss_forward(ctx, r.logprob.data() + row, nullptr, r.lse.data() + row, x,
                          forward.panels, targets.data() + row, {}, part);
        head_loss_backward(ctx, r.dhidden.data() + row * h, nullptr, dlogprob.data() + row, nullptr,
                           x, r.lse.data() + row, nullptr, forward.panels, back.panels,
                           targets.data() + row, {}, part);
      }
      return r;
    };
    const Result whole = run(three, t);
    for (const int64_t rows : {1, 13, 96}) {
      const Result again = run(rows == 13 ? three : one, rows);
      expect_same_bits(again.logprob.data(), whole.logprob.data(), t, "log-probs");
      expect_same_bits(again.dhidden.data(), whole.dhidden.data(), t * h, "dhidden");
    }
    std::vector<double> exact(size_t(t), 0.0), nearest(exact);
    reference::head_loss(exact.data(), nullptr, nullptr, to_double(hidden).data(),
                         to_double(weight).data(), targets.data(), {}, shape);
    reference::head_loss(nearest.data(), nullptr, nullptr, rounded(hidden).data(),
                         rounded(weight).data(), targets.data(), {}, shape);
    expect(worst(whole.logprob, exact) <= 3 * worst(nearest, exact) + 1e-5,
           "log-probs within three times what rounding costs");
    // dhidden = dz head, dz = (dlogprob (1[y] - p)) / temperature: rounded operands change it by
    // about 2^-8 of a gradient's size (1), here along a row.
    std::vector<double> x = to_double(hidden);
    const std::vector<double> w = to_double(weight);
    for (const int64_t row : {int64_t(0), int64_t(60), t - 1})
      for (int64_t j = 0; j < h; j += 7) {
        HeadShape single = shape;
        single.t = 1;
        std::vector<double> at(x.begin() + row * h, x.begin() + (row + 1) * h);
        const auto loss = [&] {
          double logprob = 0;
          reference::head_loss(&logprob, nullptr, nullptr, at.data(), w.data(),
                               targets.data() + row, {}, single);
          return logprob * double(dlogprob[size_t(row)]);
        };
        const double want = central_difference(loss, at, size_t(j));
        const double got = double(whole.dhidden[size_t(row * h + j)]);
        expect(std::fabs(got - want) <= 0.01 * (1 + std::fabs(want)), "dhidden");
      }
  }
}

RR_TEST("bf16 products: a decoder's log-probs and gradients stay near those of fp32") {
  for (const Kernels* kernels : cpu_kernels())
    for (const Family& family : families()) {
      TestContext context(*kernels);
      Random random(194);
      Example example;
      append(example, random_ids(random, family.config, 23), random.normals(23));
      Pass passes[2];
      for (const Compute compute : {Compute::kF32, Compute::kBF16}) {
        ModelConfig config = family.config;
        config.compute = compute;
        const auto model = Model::random(context, config, 195, 0.25f, WeightType::kBF16);
        expect(model->type() == WeightType::kBF16, "held in bf16");
        model->prepare_backward(context);
        const auto adapter = tiny_adapter(context, config, 4, 196);
        PassOptions options;
        options.model_gradients = false;
        passes[compute == Compute::kBF16].run(context, *model, {nullptr, adapter.get()}, example,
                                              options);
      }
      const auto &full = passes[0].adapter, &half = passes[1].adapter;
      double apart = 0, size = 0, logprob = 0;
      for (size_t i = 0; i < full.size(); ++i) {
        apart += std::pow(double(half[i]) - double(full[i]), 2);
        size += std::pow(double(full[i]), 2);
      }
      for (size_t i = 0; i < passes[0].logprobs.size(); ++i)
        logprob = std::max(
            logprob, std::fabs(double(passes[1].logprobs[i]) - double(passes[0].logprobs[i])));
      // A rounding is 2^-9 relative; some thirty products in a row, at log-probs of about 5.
      const std::string what = std::string(kernels->name) + ", " + family.name;
      expect(logprob > 0 && logprob < 0.1, what + ": log-probs apart " + std::to_string(logprob));
      expect(apart < 0.04 * 0.04 * size,
             what + ": gradients apart " + std::to_string(std::sqrt(apart / size)));
    }
}

RR_TEST("bf16 products: weights held in fp32 are refused") {
  TestContext context(*cpu_kernels().front());
  ModelConfig config = families()[0].config;
  config.compute = Compute::kBF16;
  std::string code;
  try {
    Model::random(context, config, 1, 0.1f, WeightType::kF32);
  } catch (const Error& error) {
    code = error.code;
  }
  expect(code == "RR_BAD_ARGUMENT", "refused");
  expect(Model::random(context, config, 1, 0.1f, WeightType::kAuto)->type() == WeightType::kBF16,
         "auto is bf16");
}

}  // namespace reasonrec::test
