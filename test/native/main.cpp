// Runs the registered cases; see harness.h. Usage: reasonrec_native_tests [--only TEXT] [--list]
#include <chrono>
#include <cstdio>
#include <exception>

#include "harness.h"

namespace reasonrec::test {
namespace {
uint64_t last_seed = 0;
bool any_seed = false;
}  // namespace

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

Random::Random(uint64_t seed) : seed_(seed) {
  last_seed = seed;
  any_seed = true;
}

double Random::normal() {
  const double u = uniform(), v = uniform();
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v);
}

std::vector<float> Random::normals(int64_t n, double deviation) {
  std::vector<float> out(static_cast<size_t>(n));
  for (float& x : out) x = float(normal() * deviation);
  return out;
}

void expect_same_bits(const float* got, const float* want, int64_t n, const std::string& what) {
  for (int64_t i = 0; i < n; ++i) {
    if (std::memcmp(got + i, want + i, sizeof(float)) == 0) continue;
    char text[160];
    std::snprintf(text, sizeof text, ": element %lld of %lld is %.9g, expected the bits of %.9g",
                  (long long)i, (long long)n, double(got[i]), double(want[i]));
    throw Failure{what + text};
  }
}

template <class T>
static void close(const T* got, const double* want, int64_t n, double absolute, double relative,
                  const std::string& what) {
  double worst = 0;
  int64_t at = -1;
  for (int64_t i = 0; i < n; ++i) {
    const double ratio =
        std::fabs(double(got[i]) - want[i]) / (absolute + relative * std::fabs(want[i]));
    if (ratio <= 1) continue;
    if (at < 0 || !(ratio <= worst)) {
      worst = ratio;
      at = i;
    }
  }
  if (at < 0) return;
  char text[200];
  std::snprintf(text, sizeof text,
                ": element %lld of %lld is %.9g, expected %.9g (%.3g x the tolerance)",
                (long long)at, (long long)n, double(got[at]), want[at], worst);
  throw Failure{what + text};
}

void expect_close(const float* got, const double* want, int64_t n, double absolute, double relative,
                  const std::string& what) {
  close(got, want, n, absolute, relative, what);
}
void expect_close(const double* got, const double* want, int64_t n, double absolute,
                  double relative, const std::string& what) {
  close(got, want, n, absolute, relative, what);
}

PackedMatrix::PackedMatrix(const Context& ctx, const float* b, int64_t k, int64_t n,
                           int64_t k_stride, int64_t n_stride) {
  const int64_t panel = ctx.kernels->panel;
  memory.resize((n + panel - 1) / panel * panel * k);
  ctx.kernels->pack(ctx, memory.data(), b, k, n, k_stride, n_stride);
  panels = {memory.data(), k * panel};
}

static int run(const char* only, bool list) {
  int passed = 0, failed = 0, skipped = 0;
  for (const Case& c : cases()) {
    if (only && !std::strstr(c.name, only)) continue;
    if (list) {
      std::printf("%s\n", c.name);
      continue;
    }
    any_seed = false;
    const auto begin = std::chrono::steady_clock::now();
    std::string problem;
    try {
      c.body();
    } catch (const Failure& failure) {
      problem = failure.message;
    } catch (const Skip& reason) {
      std::printf("skip  %s: %s\n", c.name, reason.reason.c_str());
      ++skipped;
      continue;
    } catch (const Error& error) {
      problem =
          error.code + ": " + error.what() + "; expected " + error.expected + "; got " + error.got;
    } catch (const std::exception& error) {
      problem = error.what();
    }
    const double ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    if (problem.empty()) {
      std::printf("ok    %s (%.0f ms)\n", c.name, ms);
      ++passed;
    } else {
      std::printf("FAIL  %s: %s", c.name, problem.c_str());
      if (any_seed) std::printf(" [seed %llu]", (unsigned long long)last_seed);
      std::printf("\n");
      ++failed;
    }
    std::fflush(stdout);
  }
  if (list) return 0;
  std::printf("%d passed, %d failed", passed, failed);
  if (skipped) std::printf(", %d skipped", skipped);
  std::printf("\n");
  if (passed + failed + skipped == 0) std::printf("no case matches\n");
  return failed == 0 && passed + skipped > 0 ? 0 : 1;
}

}  // namespace reasonrec::test

int main(int argc, char** argv) {
  const char* only = nullptr;
  bool list = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
      only = argv[++i];
    } else if (std::strcmp(argv[i], "--list") == 0) {
      list = true;
    } else {
      std::fprintf(stderr, "usage: %s [--only TEXT] [--list]\n", argv[0]);
      return 2;
    }
  }
  return reasonrec::test::run(only, list);
}
