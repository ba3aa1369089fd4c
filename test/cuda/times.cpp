// See times.h.
#include "times.h"

#include <chrono>

#include "backend/cuda/attention_plan.h"
#include "device.h"

namespace reasonrec::test {
namespace {

using cuda::GemmTerm;

struct Timed {
  const char* name;
  double flops, bytes;
};

class Times {
 public:
  Times(const TimedShape& s, int repetitions, const Ceilings& ceilings,
        const std::function<void(const std::string&)>& line)
      : s_(s), repetitions_(repetitions), ceilings_(ceilings), line_(line) {}

  void run() {
    rows();
    products();
    attention();
    head();
    optimiser();
  }

 private:
  DeviceValues random(DataType type, int64_t n) {
    return DeviceValues(type, representable(random_.normals(n), type));
  }

  template <class F>
  void time(const Timed& what, F&& launch) {
    std::vector<double> seconds;
    for (int i = -3; i < repetitions_; ++i) {
      call(table_.stream_wait(nullptr));
      const auto begin = std::chrono::steady_clock::now();
      call(launch());
      call(table_.stream_wait(nullptr));
      const auto end = std::chrono::steady_clock::now();
      if (i >= 0) seconds.push_back(std::chrono::duration<double>(end - begin).count());
    }
    std::sort(seconds.begin(), seconds.end());
    const double median = seconds[seconds.size() / 2];
    const double floor =
        std::max(what.flops / ceilings_.flops_per_second, what.bytes / ceilings_.bytes_per_second);
    char text[320];
    std::snprintf(text, sizeof text,
                  "{\"kernel\": \"%s\", \"median_us\": %.2f, \"least_us\": %.2f, \"flops\": %.4g, "
                  "\"bytes\": %.4g, \"floor_us\": %.2f, \"share_of_floor\": %.3f}",
                  what.name, median * 1e6, seconds[0] * 1e6, what.flops, what.bytes, floor * 1e6,
                  floor / median);
    line_(text);
  }

  void rows() {
    const int64_t n = s_.rows * s_.hidden, m = s_.rows * s_.intermediate;
    const DeviceValues x = random(kF32, n), w = random(kF32, s_.hidden), y(kBF16, n),
                       dy = random(kBF16, n), gate = random(kBF16, m), up = random(kBF16, m),
                       a(kBF16, m), b(kBF16, m);
    const DeviceArray<float> inv(s_.rows);
    const auto* weight = static_cast<const float*>(w.data());
    time({"rmsnorm_forward", 5.0 * double(n), 6.0 * double(n)}, [&] {
      return table_.rmsnorm_forward(nullptr, kBF16, y.data(), inv.data(), kF32, x.data(), weight,
                                    s_.rows, s_.hidden, 1e-6f);
    });
    time({"rmsnorm_backward", 10.0 * double(n), 14.0 * double(n)}, [&] {
      return table_.rmsnorm_backward(nullptr, kF32, x.data(), nullptr, kBF16, dy.data(), kF32,
                                     x.data(), weight, inv.data(), s_.rows, s_.hidden, 1);
    });
    time({"swiglu_forward", 6.0 * double(m), 6.0 * double(m)}, [&] {
      return table_.swiglu_forward(nullptr, kBF16, a.data(), gate.data(), up.data(), m);
    });
    time({"swiglu_backward", 15.0 * double(m), 10.0 * double(m)}, [&] {
      return table_.swiglu_backward(nullptr, kBF16, a.data(), b.data(), a.data(), gate.data(),
                                    up.data(), m);
    });
  }

  void product(const char* name, int64_t m, int64_t n, int64_t k, int64_t rank) {
    const DeviceValues x = random(kBF16, m * k), w = random(kBF16, n * k),
                       u = random(kBF16, m * rank), b = random(kBF16, n * rank), c(kBF16, m * n);
    const GemmTerm terms[2] = {{x.data(), k, w.data(), k, k, 0, 0},
                               {u.data(), rank, b.data(), rank, rank, 0, 0}};
    const double flops = 2.0 * double(m) * double(n) * double(k + rank);
    const double bytes = 2.0 * double(m * (k + rank) + n * (k + rank) + m * n);
    time({name, flops, bytes}, [&] {
      return table_.gemm(nullptr, kBF16, kBF16, c.data(), n, m, n, terms, rank > 0 ? 2 : 1,
                         cuda::kStartZero, nullptr);
    });
  }

  void products() {
    product("gemm gate", s_.rows, s_.intermediate, s_.hidden, 0);
    product("gemm gate, adapter r 16", s_.rows, s_.intermediate, s_.hidden, 16);
    product("gemm down", s_.rows, s_.hidden, s_.intermediate, 0);
    product("gemm gate, decoding", s_.few_rows, s_.intermediate, s_.hidden, 16);
  }

  void attention() {
    const AttentionShape shape{s_.heads, s_.kv_heads, s_.head_dim, 1};
    std::vector<Segment> texts;
    for (int64_t row = 0; row + s_.sequence <= s_.rows; row += s_.sequence)
      texts.push_back({-1, row, s_.sequence, 0});
    const int64_t t = int64_t(texts.size()) * s_.sequence;
    const auto host =
        cuda::make_attention_plan(texts.data(), nullptr, int64_t(texts.size()), shape);
    const DeviceArray<int32_t> words(host.words);
    const int64_t wide = t * s_.heads * s_.head_dim, narrow = t * s_.kv_heads * s_.head_dim;
    const DeviceValues q = random(kBF16, wide), k = random(kBF16, narrow),
                       v = random(kBF16, narrow), out(kBF16, wide), dout = random(kBF16, wide),
                       dq(kBF16, wide), dk(kBF16, narrow), dv(kBF16, narrow);
    const DeviceArray<float> lse(t * s_.heads), delta(t * s_.heads);
    const cuda::AttentionHeads heads{s_.heads, s_.kv_heads, s_.head_dim,
                                     1 / std::sqrt(float(s_.head_dim))};
    const double flops = 2.0 * double(wide) * double(s_.sequence);
    time({"attention_forward", flops, 4.0 * double(wide + narrow)}, [&] {
      return table_.attention_forward(nullptr, kBF16, out.data(), lse.data(), q.data(), k.data(),
                                      v.data(), host.on_device(words.data()), heads);
    });
    time({"attention_backward", 2.5 * flops, 8.0 * double(wide + narrow)}, [&] {
      return table_.attention_backward(nullptr, kBF16, dq.data(), dk.data(), dv.data(),
                                       delta.data(), dout.data(), out.data(), lse.data(), q.data(),
                                       k.data(), v.data(), host.on_device(words.data()), heads, t);
    });
  }

  void head() {
    const int64_t t = std::min<int64_t>(s_.rows, 4096), chunk = 1920;
    const DeviceValues hidden = random(kBF16, t * s_.hidden),
                       weight = random(kBF16, s_.vocab * s_.hidden), dz(kBF16, t * chunk);
    std::vector<int32_t> wanted;
    for (int64_t i = 0; i < t; ++i) wanted.push_back(int32_t(random_.integer(s_.vocab)));
    const DeviceArray<int32_t> targets(wanted), token(t);
    const DeviceArray<uint64_t> streams(std::vector<uint64_t>(size_t(t), 3));
    const DeviceArray<int64_t> positions(std::vector<int64_t>(size_t(t), 5));
    const DeviceArray<float> logprob(t), lse(t), up(std::vector<float>(size_t(t), 1.0f)),
        dhidden(t * s_.hidden), scratch(table_.head_scratch(t, s_.vocab));
    cuda::HeadInput in{hidden.data(), weight.data(), targets.data(), nullptr, nullptr, 1.0f, t,
                       s_.hidden,     s_.vocab};
    const double flops = 2.0 * double(t) * double(s_.hidden) * double(s_.vocab);
    const double bytes = 2.0 * double((t + s_.vocab) * s_.hidden);
    time({"head_forward", flops, bytes}, [&] {
      return table_.head_forward(nullptr, kBF16, logprob.data(), nullptr, lse.data(), nullptr, in,
                                 scratch.data());
    });
    time({"head_backward", 2 * flops, 2 * bytes + 4.0 * double(t * s_.vocab)}, [&] {
      return table_.head_backward(nullptr, kBF16, dhidden.data(), nullptr, up.data(), nullptr,
                                  lse.data(), nullptr, in, dz.data(), chunk);
    });
    in.t = std::min(t, s_.few_rows);
    const double share = double(in.t) / double(t);
    time({"head_sample, decoding", flops * share, 2.0 * double(s_.vocab * s_.hidden)}, [&] {
      return table_.head_sample(nullptr, kBF16, token.data(), logprob.data(), nullptr, lse.data(),
                                in, {1, streams.data(), positions.data()}, 0, scratch.data());
    });
  }

  void optimiser() {
    const int64_t n = s_.rows * s_.hidden / 2;
    const DeviceValues w = random(kF32, n), m = random(kF32, n),
                       v(kF32, std::vector<float>(size_t(n), 1.0f)), g = random(kF32, n);
    const DeviceArray<double> squares(1), scratch((n + 4095) / 4096);
    const auto at = [](const DeviceValues& x) { return static_cast<float*>(x.data()); };
    time({"sum_of_squares", 2.0 * double(n), 4.0 * double(n)},
         [&] { return table_.sum_of_squares(nullptr, squares.data(), scratch.data(), at(g), n); });
    time({"adamw", 15.0 * double(n), 28.0 * double(n)}, [&] {
      return table_.adamw(nullptr, at(w), at(m), at(v), at(g), n, 1e-4f, 0.9f, 0.99f, 1e-8f, 0.01f,
                          1.0f, squares.data(), 1);
    });
  }

  const cuda::Table& table_ = device_table();
  const TimedShape s_;
  const int repetitions_;
  const Ceilings ceilings_;
  const std::function<void(const std::string&)>& line_;
  Random random_{201};
};

}  // namespace

TimedShape qwen25_05b() { return {16384, 896, 4864, 151936, 14, 2, 64, 1024, 32}; }
TimedShape tiny_shape() { return {24, 16, 24, 70, 2, 1, 8, 8, 3}; }

void time_kernels(const TimedShape& shape, int repetitions, const Ceilings& ceilings,
                  const std::function<void(const std::string&)>& line) {
  Times(shape, repetitions, ceilings, line).run();
}

}  // namespace reasonrec::test
