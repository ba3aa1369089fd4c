// The row-wise and element-wise kernels against the fp64 references and plain loops.
#include "core/philox.h"
#include "device.h"
#include "ops/embedding.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "train/adamw.h"

namespace reasonrec::test {
namespace {

// Unit normals and rows of some hundred elements, as for the CPU kernels (ops_test.cpp).
constexpr double kAbsolute = 3e-6, kRelative = 3e-6;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// d (up . y) / d x by central differences; run recomputes y.
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

void rmsnorm_case(Random& random, DataType type, DataType x_type, int64_t t, int64_t h) {
  const cuda::Table& table = device_table();
  const float eps = 1e-5f;
  const auto x = representable(random.normals(t * h), x_type), w = random.normals(h);
  const auto up = representable(random.normals(t * h), type);
  std::vector<double> x64 = to_double(x), w64 = to_double(w), y64(size_t(t * h)),
                      up64 = to_double(up);
  const auto run = [&] { reference::rmsnorm(y64.data(), x64.data(), w64.data(), t, h, eps); };
  run();
  const DeviceValues dev_x(x_type, x), dev_up(type, up), y(type, t * h);
  const DeviceArray<float> dev_w(w), inv(t);
  call(table.rmsnorm_forward(nullptr, type, y.data(), inv.data(), x_type, dev_x.data(),
                             dev_w.data(), t, h, eps));
  expect_near(y.host(), y64, type, kAbsolute, kRelative, "y");
  if (h * t > 60) return;  // differences are quadratic in the size
  const auto want_x = differences(run, x64, up64, y64), want_w = differences(run, w64, up64, y64);
  double largest = 1;
  for (const float r : inv.host()) largest = std::max(largest, double(r));
  const DeviceArray<float> dx(t * h), dw(std::vector<float>(size_t(h), 0.5f));
  call(table.rmsnorm_backward(nullptr, kF32, dx.data(), dw.data(), type, dev_up.data(), x_type,
                              dev_x.data(), dev_w.data(), inv.data(), t, h, 0));
  std::vector<float> got_w = dw.host();
  for (float& v : got_w) v -= 0.5f;
  expect_near(dx.host(), want_x, kF32, 1e-5 * largest, 1e-5, "dx");
  expect_near(got_w, want_w, kF32, 1e-5, 1e-5, "dw");
  const auto once = dx.host();
  call(table.rmsnorm_backward(nullptr, kF32, dx.data(), nullptr, type, dev_up.data(), x_type,
                              dev_x.data(), dev_w.data(), inv.data(), t, h, 1));
  const auto twice = dx.host();
  for (size_t i = 0; i < once.size(); ++i) expect(twice[i] == once[i] + once[i], "accumulate");
}

}  // namespace

RR_TEST("cuda rmsnorm: forward and gradients, fp32 and bf16, any residual type") {
  under_every_order([](uint64_t) {
    Random random(121);
    for (const DataType type : kTypes)
      for (const DataType x_type : kTypes)
        for (const int64_t h : {1, 2, 31, 32, 33, 97})
          for (const int64_t t : {1, 3, 9}) rmsnorm_case(random, type, x_type, t, h);
  });
}

RR_TEST("cuda rope: against fp64; the inverse turns back") {
  under_every_order([](uint64_t) {
    Random random(123);
    for (const DataType type : kTypes)
      for (const int d : {2, 6, 34, 64}) {
        const int64_t t = 7, half = d / 2, positions = 40;
        const int heads = 3;
        std::vector<float> cos(size_t(positions * half)), sin(size_t(positions * half));
        for (int64_t i = 0; i < positions * half; ++i) {
          const double angle = double(i / half) * std::pow(10000.0, -2.0 * double(i % half) / d);
          cos[size_t(i)] = float(std::cos(angle));
          sin[size_t(i)] = float(std::sin(angle));
        }
        std::vector<int32_t> at;
        for (int64_t i = 0; i < t; ++i) at.push_back(int32_t(random.integer(positions)));
        const auto x = representable(random.normals(t * heads * d), type);
        auto want = to_double(x);
        reference::rope(want.data(), at.data(), to_double(cos).data(), to_double(sin).data(), t,
                        heads, d);
        const DeviceValues y(type, x);
        const DeviceArray<float> dev_cos(cos), dev_sin(sin);
        const DeviceArray<int32_t> dev_at(at);
        call(device_table().rope(nullptr, type, y.data(), dev_at.data(), dev_cos.data(),
                                 dev_sin.data(), t, heads, d, 0));
        expect_near(y.host(), want, type, 1e-6, 1e-6, "rotated");
        call(device_table().rope(nullptr, type, y.data(), dev_at.data(), dev_cos.data(),
                                 dev_sin.data(), t, heads, d, 1));
        // Turning back rounds what was rounded before: elements of size 1 to 4, twice.
        expect_near(y.host(), to_double(x), type, type == kBF16 ? 4 * 2 * kBf16Rounding : 1e-6,
                    1e-6, "turned back");
      }
  });
}

RR_TEST("cuda swiglu: forward and gradients, extreme gates") {
  under_every_order([](uint64_t) {
    Random random(124);
    for (const DataType type : kTypes)
      for (const int64_t n : {1, 97, 300}) {
        auto gate = representable(random.normals(n, 3), type);
        if (n > 4) gate[1] = -200, gate[2] = 200, gate[3] = 0;
        const auto up = representable(random.normals(n), type),
                   dy = representable(random.normals(n), type);
        auto g64 = to_double(gate), u64 = to_double(up);
        const auto d64 = to_double(dy);
        std::vector<double> y64(size_t(n), 0.0);
        const auto run = [&] { reference::swiglu(y64.data(), g64.data(), u64.data(), n); };
        run();
        const DeviceValues dev_gate(type, gate), dev_up(type, up), dev_dy(type, dy), y(type, n),
            dgate(type, n), dup(type, n);
        call(device_table().swiglu_forward(nullptr, type, y.data(), dev_gate.data(), dev_up.data(),
                                           n));
        expect_near(y.host(), y64, type, kAbsolute, kRelative, "y");
        const auto want_g = differences(run, g64, d64, y64),
                   want_u = differences(run, u64, d64, y64);
        call(device_table().swiglu_backward(nullptr, type, dgate.data(), dup.data(), dev_dy.data(),
                                            dev_gate.data(), dev_up.data(), n));
        expect_near(dgate.host(), want_g, type, 1e-5, 1e-5, "dgate");
        expect_near(dup.host(), want_u, type, 1e-5, 1e-5, "dup");
      }
  });
}

RR_TEST("cuda embedding: rows by id, and their gradient as rows added in order") {
  under_every_order([](uint64_t) {
    Random random(125);
    for (const DataType type : kTypes) {
      const int64_t t = 40, h = 53, v = 11;
      const auto table = representable(random.normals(v * h), type),
                 dy = representable(random.normals(t * h), type);
      std::vector<int32_t> ids;
      for (int64_t i = 0; i < t; ++i) ids.push_back(int32_t(random.integer(v)));
      const DeviceValues dev_table(type, table), dev_dy(type, dy);
      const DeviceArray<int32_t> dev_ids(ids);
      const DeviceArray<float> y(t * h), d(std::vector<float>(size_t(v * h), 0.125f));
      call(device_table().embedding_forward(nullptr, type, y.data(), dev_ids.data(),
                                            dev_table.data(), t, h));
      std::vector<double> want(size_t(t * h));
      reference::embedding(want.data(), ids.data(), to_double(table).data(), t, h);
      const auto got = y.host();
      expect_close(got.data(), want.data(), t * h, 0, 1e-30, "rows are copied");

      std::vector<int32_t> targets, begin{0}, sources;
      for (int32_t id = 0; id < v; ++id) {
        for (int32_t row = 0; row < t; ++row)
          if (ids[size_t(row)] == id) sources.push_back(row);
        if (int64_t(sources.size()) == begin.back()) continue;
        targets.push_back(id);
        begin.push_back(int32_t(sources.size()));
      }
      const DeviceArray<int32_t> dev_targets(targets), dev_begin(begin), dev_sources(sources);
      call(device_table().scatter_add_rows(nullptr, type, d.data(), dev_targets.data(),
                                           dev_begin.data(), dev_sources.data(), dev_dy.data(),
                                           int64_t(targets.size()), h));
      std::vector<float> plain(size_t(v * h), 0.125f);
      for (int64_t row = 0; row < t; ++row)
        for (int64_t j = 0; j < h; ++j)
          plain[size_t(ids[size_t(row)] * h + j)] += dy[size_t(row * h + j)];
      expect_same_bits(d.host().data(), plain.data(), v * h, "scatter-add, ascending rows");
    }
  });
}

RR_TEST("cuda rows: convert, add, scale, sum, move and drop") {
  under_every_order([](uint64_t) {
    Random random(126);
    const cuda::Table& table = device_table();
    for (const DataType type : kTypes) {
      const int64_t t = 5, n = 301;
      const auto x = representable(random.normals(t * n), type), y = random.normals(t * n);
      const DeviceValues dev_x(type, x), rounded(kBF16, t * n), dropped(type, t * n);
      const DeviceArray<float> sum(y), total(std::vector<float>(size_t(n), 1.5f));
      call(table.convert(nullptr, kBF16, rounded.data(), type, dev_x.data(), t * n));
      expect_same_bits(rounded.host().data(), representable(x, kBF16).data(), t * n, "convert");
      call(table.add(nullptr, type, sum.data(), dev_x.data(), t * n));
      call(table.scale(nullptr, kF32, sum.data(), 0.25f, t * n));
      call(table.sum_rows(nullptr, type, total.data(), dev_x.data(), t, n));
      std::vector<float> want_sum, want_total(size_t(n), 1.5f);
      for (size_t i = 0; i < x.size(); ++i) want_sum.push_back((y[i] + x[i]) * 0.25f);
      for (size_t i = 0; i < x.size(); ++i) want_total[i % size_t(n)] += x[i];
      expect_same_bits(sum.host().data(), want_sum.data(), t * n, "add and scale");
      expect_same_bits(total.host().data(), want_total.data(), n, "sum of rows");

      const DeviceArray<int32_t> to({1, 4, 0}), from({2, 2, 3});
      const DeviceValues moved(type, std::vector<float>(size_t(t * n), 9.0f));
      call(
          table.move_rows(nullptr, type, moved.data(), to.data(), dev_x.data(), from.data(), 3, n));
      const auto rows = moved.host();
      for (int64_t j = 0; j < n; ++j)
        expect(rows[size_t(n + j)] == x[size_t(2 * n + j)] &&
                   rows[size_t(4 * n + j)] == x[size_t(2 * n + j)] &&
                   rows[size_t(j)] == x[size_t(3 * n + j)] && rows[size_t(2 * n + j)] == 9,
               "moved rows");
      for (const int64_t first : {0, 6}) {
        call(
            table.dropout(nullptr, type, dropped.data(), dev_x.data(), first, t * n, 0.25f, 77, 5));
        const auto got = dropped.host();
        std::vector<float> want;
        for (int64_t i = 0; i < t * n; ++i) {
          const auto word = philox4x32(77, 5, uint64_t(first + i) / 4)[size_t(first + i) % 4];
          want.push_back(double(word) >= 0.25 * 4294967296.0 ? x[size_t(i)] * (1 / 0.75f) : 0.0f);
        }
        expect_same_bits(got.data(), representable(want, type).data(), t * n, "dropout");
      }
    }
  });
}

RR_TEST("cuda adamw: the CPU's optimiser, clipped by a norm that stays on the device") {
  under_every_order([](uint64_t) {
    Random random(127);
    const cuda::Table& table = device_table();
    TestContext ctx(*cpu_kernels().front());
    for (const int64_t n : {1, 4096, 4099}) {
      auto w = random.normals(n), m = std::vector<float>(size_t(n), 0.0f), v = m;
      const DeviceArray<float> dev_w(w), dev_m(m), dev_v(v);
      const DeviceArray<double> squares(1), scratch((n + 4095) / 4096);
      for (int64_t step = 1; step <= 3; ++step) {
        const auto g = random.normals(n);
        double want = 0;
        for (const float x : g) want += double(x) * double(x);
        const DeviceArray<float> dev_g(g);
        call(table.sum_of_squares(nullptr, squares.data(), scratch.data(), dev_g.data(), n));
        const double got = squares.host()[0];
        expect(std::fabs(got - want) <= 1e-12 * want, "squares");
        call(table.adamw(nullptr, dev_w.data(), dev_m.data(), dev_v.data(), dev_g.data(), n, 1e-2f,
                         0.9f, 0.99f, 1e-8f, 0.1f, 0.5f, squares.data(), step));
        const float scale = float(std::min(1.0, 0.5 / (std::sqrt(want) + 1e-6)));
        ctx.context.kernels->adamw(ctx, w.data(), m.data(), v.data(), g.data(), n, 1e-2f, 0.9f,
                                   0.99f, 1e-8f, 0.1f, scale, step);
      }
      // The same formula in fp32; a fused product here or there: some 2^-24 per step.
      expect_near(dev_w.host(), to_double(w), kF32, 1e-6, 1e-6, "w");
      expect_near(dev_v.host(), to_double(v), kF32, 1e-12, 1e-6, "v");
    }
    // A gradient that is not finite changes nothing.
    const DeviceArray<float> w({1, 2}), m({0, 0}), v({0, 0}), g({NAN, 1});
    const DeviceArray<double> squares(1), scratch(1);
    call(table.sum_of_squares(nullptr, squares.data(), scratch.data(), g.data(), 2));
    call(table.adamw(nullptr, w.data(), m.data(), v.data(), g.data(), 2, 1, 0.9f, 0.9f, 1e-8f, 0, 1,
                     squares.data(), 1));
    expect(w.host() == std::vector<float>({1, 2}) && m.host() == std::vector<float>({0, 0}),
           "nothing was written");
  });
}

}  // namespace reasonrec::test
