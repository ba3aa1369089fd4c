// The matrix product: against fp64 at tile edges, in both layouts of both operands, with adapters
// as further terms; and that an element's bits do not depend on how many rows are asked for.
#include "device.h"

namespace reasonrec::test {
namespace {

using cuda::GemmStart;
using cuda::GemmTerm;

// A (m, k) or B (n, k), stored either way round.
struct Side {
  int64_t rows, k;
  bool transposed;
  std::vector<float> values;  // as stored
  DeviceValues device;
  Side(Random& random, DataType type, int64_t rows_, int64_t k_, bool transposed_)
      : rows(rows_),
        k(k_),
        transposed(transposed_),
        values(representable(random.normals(rows * k), type)),
        device(type, values) {}
  int64_t stride() const { return transposed ? rows : k; }
  double at(int64_t row, int64_t i) const {
    return double(values[size_t(transposed ? i * rows + row : row * k + i)]);
  }
};

GemmTerm term(const Side& a, const Side& b) {
  return {a.device.data(), a.stride(),  b.device.data(), b.stride(), a.k,
          a.transposed,    b.transposed};
}

struct Shape {
  int64_t m, n, k;
};

void gemm_case(Random& random, DataType type, DataType c_type, const Shape& s, bool a_transposed,
               bool b_transposed, GemmStart start, int64_t rank) {
  std::vector<Side> sides;
  sides.reserve(4);
  sides.emplace_back(random, type, s.m, s.k, a_transposed);
  sides.emplace_back(random, type, s.n, s.k, b_transposed);
  std::vector<GemmTerm> terms{term(sides[0], sides[1])};
  if (rank > 0) {
    sides.emplace_back(random, type, s.m, rank, false);
    sides.emplace_back(random, type, s.n, rank, false);
    terms.push_back(term(sides[2], sides[3]));
  }
  const auto bias = random.normals(s.n), before = representable(random.normals(s.m * s.n), c_type);
  const DeviceArray<float> dev_bias(bias);
  const DeviceValues c(c_type, start == cuda::kStartAccumulate
                                   ? before
                                   : std::vector<float>(size_t(s.m * s.n), NAN));
  call(device_table().gemm(nullptr, type, c_type, c.data(), s.n, s.m, s.n, terms.data(),
                           int32_t(terms.size()), start, dev_bias.data()));
  std::vector<double> want(size_t(s.m * s.n));
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = start == cuda::kStartBias         ? double(bias[size_t(j)])
                   : start == cuda::kStartAccumulate ? double(before[size_t(i * s.n + j)])
                                                     : 0;
      for (size_t p = 0; p < sides.size(); p += 2)
        for (int64_t k = 0; k < sides[p].k; ++k) sum += sides[p].at(i, k) * sides[p + 1].at(j, k);
      want[size_t(i * s.n + j)] = sum;
    }
  // A sum of k products of unit normals has size sqrt(k) and errors of 2^-24 sqrt(k) per addition.
  const double absolute = 2e-7 * double(s.k + rank + 8);
  expect_near(
      c.host(), want, c_type, absolute, 1e-6,
      "m " + std::to_string(s.m) + " n " + std::to_string(s.n) + " k " + std::to_string(s.k));
}

}  // namespace

RR_TEST("cuda gemm: tile edges, layouts, starts and adapters against fp64") {
  under_every_order([](uint64_t seed) {
    Random random(131 + seed);
    const Shape shapes[] = {{1, 1, 1},   {3, 5, 7},    {16, 64, 32}, {17, 65, 33},
                            {8, 40, 50}, {65, 30, 16}, {130, 17, 41}};
    int turn = int(seed);
    for (const DataType type : kTypes)
      for (const Shape& s : shapes) {
        const auto start = GemmStart(turn % 3);
        gemm_case(random, type, turn % 2 ? kF32 : type, s, turn & 1, turn & 2, start,
                  turn % 4 == 3 ? 5 : 0);
        ++turn;
      }
  });
}

RR_TEST("cuda gemm: an element has the same bits in every number of rows and every tile") {
  under_every_order([](uint64_t) {
    Random random(132);
    for (const DataType type : kTypes) {
      const int64_t m = 70, n = 24, k = 45, rank = 3;
      const Side x(random, type, m, k, false), w(random, type, n, k, false),
          u(random, type, m, rank, false), b(random, type, n, rank, false);
      const auto product = [&](int64_t first, int64_t rows) {
        const int64_t width = type == kBF16 ? 2 : 4;
        GemmTerm terms[2] = {term(x, w), term(u, b)};
        terms[0].a = static_cast<const char*>(terms[0].a) + first * k * width;
        terms[1].a = static_cast<const char*>(terms[1].a) + first * rank * width;
        const DeviceArray<float> c(rows * n);
        call(device_table().gemm(nullptr, type, kF32, c.data(), n, rows, n, terms, 2,
                                 cuda::kStartZero, nullptr));
        return c.host();
      };
      const auto all = product(0, m);
      for (const auto& [first, rows] :
           {std::pair<int64_t, int64_t>{0, 1}, {69, 1}, {13, 8}, {3, 20}})
        expect_same_bits(product(first, rows).data(), all.data() + first * n, rows * n,
                         "rows from " + std::to_string(first));
    }
  });
}

RR_TEST("cuda gemm: refuses what it cannot do") {
  const DeviceArray<float> c(1);
  const GemmTerm terms[4] = {};
  expect(device_table().gemm(nullptr, kF32, kF32, c.data(), 1, 1, 1, terms, 4, cuda::kStartZero,
                             nullptr) != 0,
         "four terms");
  expect(device_table().gemm(nullptr, kF32, kF32, c.data(), 1, 1, 1, terms, 0, cuda::kStartBias,
                             nullptr) != 0,
         "no bias");
  expect(device_table().gemm(nullptr, DataType(7), kF32, c.data(), 1, 1, 1, terms, 0,
                             cuda::kStartZero, nullptr) != 0,
         "a type it does not know");
  expect(device_table().gemm(nullptr, kF32, DataType(7), c.data(), 1, 1, 1, terms, 0,
                             cuda::kStartZero, nullptr) != 0,
         "a result's type it does not know");
}

}  // namespace reasonrec::test
