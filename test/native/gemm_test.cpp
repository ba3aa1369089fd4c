// Products: every instruction set against fp64 at tile edges, and the identities that training and
// decoding rest on: a row does not depend on M, on the threads, or on how A lies in memory.
#include <cstdlib>

#include "harness.h"

namespace reasonrec::test {
namespace {

struct Product {
  int64_t m, n, k;
  std::vector<float> a, b, bias;
  Product(Random& random, int64_t m_, int64_t n_, int64_t k_)
      : m(m_),
        n(n_),
        k(k_),
        a(random.normals(m * k)),
        b(random.normals(k * n)),
        bias(random.normals(n)) {}
  std::vector<double> reference(GemmStart start, const std::vector<float>& c) const {
    std::vector<double> out(size_t(m * n), 0.0);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = start == GemmStart::kZero   ? 0
                     : start == GemmStart::kBias ? bias[j]
                                                 : c[i * n + j];
        for (int64_t kk = 0; kk < k; ++kk) sum += double(a[i * k + kk]) * double(b[kk * n + j]);
        out[i * n + j] = sum;
      }
    return out;
  }
};

std::vector<int64_t> edges(int64_t t) { return {1, t - 1, t, t + 1}; }

// fp32 sums of k products of unit normals: error about sqrt(k) 2^-24 per unit of |sum| ~ sqrt(k);
// 4x for slack.
double tolerance(int64_t k) { return 4 * 6e-8 * double(k + 8); }

void check_product(const Kernels& kernels, Random& random, int64_t m, int64_t n, int64_t k) {
  TestContext ctx(kernels);
  const Product p(random, m, n, k);
  const PackedMatrix b(ctx, p.b.data(), k, n, n, 1);
  const GemmTerm term{p.a.data(), k, 1, b.panels, k};
  const std::string what = std::string(kernels.name) + " M " + std::to_string(m) + " N " +
                           std::to_string(n) + " K " + std::to_string(k);
  for (const GemmStart start : {GemmStart::kZero, GemmStart::kBias, GemmStart::kAccumulate}) {
    std::vector<float> c = start == GemmStart::kAccumulate ? random.normals(m * n) : nans(m * n);
    const std::vector<double> want = p.reference(start, c);
    kernels.gemm(ctx, c.data(), n, m, n, &term, 1, start, p.bias.data());
    expect_close(c.data(), want.data(), m * n, tolerance(k), 1e-6, what);
  }
}

}  // namespace

RR_TEST("gemm: every instruction set against fp64 at tile edges") {
  Random random(11);
  for (const Kernels* kernels : cpu_kernels()) {
    for (const int64_t m : {1, 2, 3, 4, 5, 11, 12, 13, 25, 127})
      for (const int64_t n : edges(kernels->panel)) check_product(*kernels, random, m, n, 37);
    for (const int64_t n :
         {int64_t(kernels->panel * 4 - 1), int64_t(kernels->panel * 8 + 1), int64_t(211)})
      for (const int64_t m : {1, 2, 3, 7, 121}) check_product(*kernels, random, m, n, 61);
    for (const int64_t k : {1, 511, 512, 513, 1031}) check_product(*kernels, random, 14, 67, k);
  }
}

RR_TEST("gemm: nothing is written outside C") {
  Random random(12);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    for (const int64_t n : edges(kernels->panel)) {
      const int64_t m = 13, k = 9, ldc = n + 3;
      const Product p(random, m, n, k);
      const PackedMatrix b(ctx, p.b.data(), k, n, n, 1);
      const GemmTerm term{p.a.data(), k, 1, b.panels, k};
      std::vector<float> c(size_t((m + 1) * ldc), 77.0f);
      kernels->gemm(ctx, c.data(), ldc, m, n, &term, 1, GemmStart::kZero, nullptr);
      for (int64_t i = 0; i < (m + 1) * ldc; ++i)
        if (i / ldc == m || i % ldc >= n) expect(c[i] == 77.0f, "a float beyond C was overwritten");
    }
  }
}

RR_TEST("gemm: a row's bits do not depend on M, threads or the layout of A") {
  Random random(13);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext one(*kernels, 1), three(*kernels, 3);
    const int64_t m = 131, n = kernels->panel * 6 + 5, k = 700;
    const Product p(random, m, n, k);
    const PackedMatrix b(one, p.b.data(), k, n, n, 1);
    std::vector<float> whole = nans(m * n), again = nans(m * n);
    const GemmTerm term{p.a.data(), k, 1, b.panels, k};
    kernels->gemm(three, whole.data(), n, m, n, &term, 1, GemmStart::kBias, p.bias.data());
    kernels->gemm(one, again.data(), n, m, n, &term, 1, GemmStart::kBias, p.bias.data());
    expect_same_bits(again.data(), whole.data(), m * n, "threads 1 and 3");
    for (const int64_t rows : {1, 2, 3, 4, 7, 8, 12, 13, 29}) {
      std::vector<float> part = nans(m * n);
      for (int64_t row = 0; row < m; row += rows) {
        const GemmTerm some{p.a.data() + row * k, k, 1, b.panels, k};
        kernels->gemm(three, part.data() + row * n, n, std::min(rows, m - row), n, &some, 1,
                      GemmStart::kBias, p.bias.data());
      }
      expect_same_bits(part.data(), whole.data(), m * n,
                       "rows " + std::to_string(rows) + " at a time");
    }
    std::vector<float> columns(size_t(m * k)), strided(size_t(m * k * 2));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < k; ++j)
        columns[j * m + i] = strided[(j * m + i) * 2] = p.a[i * k + j];
    const GemmTerm transposed{columns.data(), 1, m, b.panels, k},
        general{strided.data(), 2, 2 * m, b.panels, k};
    kernels->gemm(three, again.data(), n, m, n, &transposed, 1, GemmStart::kBias, p.bias.data());
    expect_same_bits(again.data(), whole.data(), m * n, "A column-major");
    kernels->gemm(three, again.data(), n, m, n, &general, 1, GemmStart::kBias, p.bias.data());
    expect_same_bits(again.data(), whole.data(), m * n, "A strided both ways");
  }
}

RR_TEST("gemm: terms are one sum along the concatenated K, and K ranges continue it") {
  Random random(14);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    const int64_t m = 9, n = 45, k = 83, cut = 30;
    const Product p(random, m, n, k);
    const PackedMatrix b(ctx, p.b.data(), k, n, n, 1);
    std::vector<float> whole = nans(m * n), parts = nans(m * n), two = nans(m * n);
    const GemmTerm all{p.a.data(), k, 1, b.panels, k};
    kernels->gemm(ctx, whole.data(), n, m, n, &all, 1, GemmStart::kZero, nullptr);
    Panels rest = b.panels;
    rest.data += cut * kernels->panel;
    const GemmTerm terms[2] = {{p.a.data(), k, 1, b.panels, cut},
                               {p.a.data() + cut, k, 1, rest, k - cut}};
    kernels->gemm(ctx, two.data(), n, m, n, terms, 2, GemmStart::kZero, nullptr);
    kernels->gemm(ctx, parts.data(), n, m, n, terms, 1, GemmStart::kZero, nullptr);
    kernels->gemm(ctx, parts.data(), n, m, n, terms + 1, 1, GemmStart::kAccumulate, nullptr);
    expect_same_bits(two.data(), whole.data(), m * n, "two terms");
    expect_same_bits(parts.data(), whole.data(), m * n, "two products, the second accumulating");
    kernels->gemm(ctx, parts.data(), n, m, n, nullptr, 0, GemmStart::kBias, p.bias.data());
    for (int64_t i = 0; i < m; ++i)
      expect_same_bits(parts.data() + i * n, p.bias.data(), n, "no term: the bias");
  }
}

RR_TEST("pack: B's elements lie where the contract says, padded with zeros") {
  Random random(15);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels);
    const int64_t panel = kernels->panel;
    for (const int64_t n : {int64_t(1), panel - 1, panel, panel + 1, panel * 3 + 2, int64_t(701)})
      for (const int64_t k : {1, 31, 33, 97}) {
        const std::vector<float> b = random.normals(k * n);
        for (const bool transposed : {false, true}) {
          Buffer memory((n + panel - 1) / panel * panel * k);
          for (int64_t i = 0; i < memory.size(); ++i) memory[i] = NAN;
          kernels->pack(ctx, memory.data(), b.data(), k, n, transposed ? 1 : n, transposed ? k : 1);
          for (int64_t j = 0; j < memory.size() / k; ++j)
            for (int64_t i = 0; i < k; ++i) {
              const float got = memory[(j / panel) * k * panel + i * panel + j % panel];
              const float want = j >= n ? 0 : transposed ? b[j * k + i] : b[i * n + j];
              expect(got == want, "element (" + std::to_string(i) + ", " + std::to_string(j) + ")");
            }
        }
      }
  }
}

RR_TEST("thread pool: every task once, exceptions arrive, many small jobs") {
  ThreadPool pool(4);
  expect(pool.size() == 4, "size");
  for (int round = 0; round < 2000; ++round) {
    std::vector<int> seen(size_t(round % 37), 0);
    pool.parallel_for(int64_t(seen.size()), [&](int64_t task, int worker) {
      expect(worker >= 0 && worker < 4, "worker");
      ++seen[size_t(task)];
    });
    for (const int count : seen)
      expect(count == 1, "a task ran " + std::to_string(count) + " times");
  }
  bool caught = false;
  try {
    pool.parallel_for(100, [](int64_t task, int) {
      if (task == 50) throw Error("RR_TEST", "from a task");
    });
  } catch (const Error& error) {
    caught = error.code == "RR_TEST";
  }
  expect(caught, "the task's exception");
  int64_t sum = 0;
  std::vector<int64_t> values(64);
  pool.parallel_for(64, [&](int64_t task, int) { values[size_t(task)] = task; });
  for (const int64_t v : values) sum += v;
  expect(sum == 2016, "the pool works after an exception");
}

RR_TEST("registry: REASONREC_ISA picks kernels or is refused") {
  const auto& all = cpu_kernels();
  expect(!all.empty() && std::string(all.front()->name) == "scalar",
         "scalar is always there, first");
  const char* before = std::getenv("REASONREC_ISA");
  const std::string keep = before ? before : "";
  setenv("REASONREC_ISA", "scalar", 1);
  expect(&select_cpu_kernels() == all.front(), "scalar was asked for");
  setenv("REASONREC_ISA", "mmx", 1);
  std::string code;
  try {
    select_cpu_kernels();
  } catch (const Error& error) {
    code = error.code;
  }
  unsetenv("REASONREC_ISA");
  const bool best = &select_cpu_kernels() == all.back();
  if (before) setenv("REASONREC_ISA", keep.c_str(), 1);
  expect(code == "RR_ISA_UNAVAILABLE", "an unknown name is refused");
  expect(best, "the best one is the default");
}

}  // namespace reasonrec::test
