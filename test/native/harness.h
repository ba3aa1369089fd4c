// The native tests' own small registry. A file test/native/<name>_test.cpp defines cases with
//   RR_TEST("gemm: rows do not depend on M") { ...; expect(ok, "what was wrong"); }
// main.cpp runs them all (or those whose name contains --only TEXT), prints each, and ends with
// "N passed, N failed" (and ", N skipped" when there were any) and an exit code.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/philox.h"

namespace reasonrec::test {

struct Failure {
  std::string message;
};
struct Skip {
  std::string reason;
};

struct Case {
  const char* name;
  void (*body)();
};
std::vector<Case>& cases();

struct Register {
  Register(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

#define RR_TEST_JOIN2(a, b) a##b
#define RR_TEST_JOIN(a, b) RR_TEST_JOIN2(a, b)
#define RR_TEST_NAMED(name, function)                                            \
  static void function();                                                        \
  static ::reasonrec::test::Register RR_TEST_JOIN(function, _r)(name, function); \
  static void function()
#define RR_TEST(name) RR_TEST_NAMED(name, RR_TEST_JOIN(rr_test_, __LINE__))

inline void expect(bool ok, const std::string& message) {
  if (!ok) throw Failure{message};
}
[[noreturn]] inline void skip(const std::string& reason) { throw Skip{reason}; }

// Same bits; NaN equals the same NaN. Reports the first difference.
void expect_same_bits(const float* got, const float* want, int64_t n, const std::string& what);
// |got - want| <= absolute + relative * |want|; NaN never passes. Reports the worst element.
void expect_close(const float* got, const double* want, int64_t n, double absolute, double relative,
                  const std::string& what);
void expect_close(const double* got, const double* want, int64_t n, double absolute,
                  double relative, const std::string& what);

// Reproducible numbers; the seed is printed when a case fails.
class Random {
 public:
  explicit Random(uint64_t seed);
  double uniform() { return philox_uniform(seed_, 0, next_++); }  // (0, 1)
  double normal();
  int64_t integer(int64_t n) { return int64_t(uniform() * double(n)); }  // [0, n)
  std::vector<float> normals(int64_t n, double deviation = 1);

 private:
  uint64_t seed_, next_ = 0;
};

inline std::vector<float> nans(int64_t n) {
  return std::vector<float>(size_t(n), std::numeric_limits<float>::quiet_NaN());
}
inline std::vector<double> to_double(const std::vector<float>& x) { return {x.begin(), x.end()}; }

// A context that owns its pool and scratch memory.
struct TestContext {
  ThreadPool pool;
  Workspace workspace;
  Context context;
  explicit TestContext(const Kernels& kernels, int threads = 2) : pool(threads) {
    context = Context{&kernels, &pool, &workspace};
  }
  operator const Context&() const { return context; }
};

// Memory for B packed into panels.
struct PackedMatrix {
  Buffer memory;
  Panels panels;
  PackedMatrix(const Context&, const float* b, int64_t k, int64_t n, int64_t k_stride,
               int64_t n_stride);
};

// d f / d x[i] by central differences of a double function, step h * max(1, |x[i]|).
template <class F>
double central_difference(F&& f, std::vector<double>& x, size_t i, double h = 1e-5) {
  const double keep = x[i], step = h * std::max(1.0, std::fabs(keep));
  x[i] = keep + step;
  const double up = f();
  x[i] = keep - step;
  const double down = f();
  x[i] = keep;
  return (up - down) / (2 * step);
}

}  // namespace reasonrec::test
