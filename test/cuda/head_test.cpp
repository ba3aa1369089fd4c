// The vocabulary head and the draws: log-probs, entropies and gradients against fp64, restricted
// rows, the identity of sampled and trained log-probs, and draws against the CPU's sampler.
#include "core/philox.h"
#include "decode/sampler.h"
#include "device.h"
#include "ops/head_loss.h"

namespace reasonrec::test {
namespace {

struct Head {
  HeadShape shape;
  DataType type;
  std::vector<float> hidden, weight;
  std::vector<int32_t> targets;
  std::vector<int64_t> begin{0};  // allowed tokens of every third row, its target among them
  std::vector<int32_t> ids;
  Head(Random& random, DataType type_, int64_t t, int64_t h, int64_t v, float inv_temperature)
      : shape{t, h, v, inv_temperature},
        type(type_),
        hidden(representable(random.normals(t * h), type)),
        weight(representable(random.normals(v * h, 2 / std::sqrt(double(h))), type)) {
    for (int64_t i = 0; i < t; ++i) targets.push_back(i % 5 == 4 ? -1 : int32_t(random.integer(v)));
    for (int64_t row = 0; row < t; ++row) {
      if (row % 3 == 1) {
        std::vector<int32_t> some;
        for (int i = 0; i < 5; ++i) some.push_back(int32_t(random.integer(v)));
        if (targets[size_t(row)] >= 0) some.push_back(targets[size_t(row)]);
        std::sort(some.begin(), some.end());
        some.erase(std::unique(some.begin(), some.end()), some.end());
        ids.insert(ids.end(), some.begin(), some.end());
      }
      begin.push_back(int64_t(ids.size()));
    }
  }
  AllowedTokens allowed(bool restricted) const {
    return restricted ? AllowedTokens{begin.data(), ids.data()} : AllowedTokens{};
  }
};

// The head's arrays on the device.
struct DeviceHead {
  const Head& head;
  DeviceValues hidden, weight;
  DeviceArray<int32_t> targets, begin, ids;
  DeviceArray<float> scratch;
  explicit DeviceHead(const Head& h)
      : head(h),
        hidden(h.type, h.hidden),
        weight(h.type, h.weight),
        targets(h.targets),
        begin(std::vector<int32_t>(h.begin.begin(), h.begin.end())),
        ids(h.ids.empty() ? std::vector<int32_t>{0} : h.ids),
        scratch(device_table().head_scratch(h.shape.t, h.shape.v)) {}
  cuda::HeadInput input(bool restricted, int64_t row = 0, int64_t rows = -1) const {
    const int64_t width = head.type == kBF16 ? 2 : 4;
    return {static_cast<const char*>(hidden.data()) + row * head.shape.h * width,
            weight.data(),
            targets.data() + row,
            restricted ? begin.data() + row : nullptr,
            ids.data(),
            head.shape.inv_temperature,
            rows < 0 ? head.shape.t : rows,
            head.shape.h,
            head.shape.v};
  }
};

struct Forward {
  std::vector<float> logprob, entropy, lse;
};
Forward forward(const DeviceHead& d, const cuda::HeadInput& in, float* logits = nullptr) {
  const DeviceArray<float> logprob(in.t), entropy(in.t), lse(in.t);
  call(device_table().head_forward(nullptr, d.head.type, logprob.data(), entropy.data(), lse.data(),
                                   logits, in, d.scratch.data()));
  return {logprob.host(), entropy.host(), lse.host()};
}

}  // namespace

RR_TEST("cuda head: log-prob, entropy and lse against fp64, whole and restricted vocabulary") {
  under_every_order([](uint64_t seed) {
    Random random(171 + seed);
    int turn = int(seed);
    for (const int64_t v : {1, 63, 64, 65, 511, 512, 513, 700})
      for (const int64_t t : {1, 5, 67}) {
        if (t > 5 && v > 65 && v != 513) continue;
        const DataType type = kTypes[turn % 2];
        const Head head(random, type, t, turn % 3 == 0 ? 33 : 16, v, turn % 2 ? 1 / 0.7f : 1.0f);
        const DeviceHead device(head);
        for (const bool restricted : {false, true}) {
          const Forward got = forward(device, device.input(restricted));
          std::vector<double> logprob(size_t(t), 0.0), entropy(logprob), lse(logprob);
          reference::head_loss(logprob.data(), entropy.data(), lse.data(),
                               to_double(head.hidden).data(), to_double(head.weight).data(),
                               head.targets.data(), head.allowed(restricted), head.shape);
          const std::string what = " v " + std::to_string(v) + " t " + std::to_string(t);
          // Statistics are fp32 whatever the operands: z of size 10, as for the CPU kernels.
          expect_near(got.lse, lse, kF32, 6e-6, 1e-6, "lse" + what);
          expect_near(got.logprob, logprob, kF32, 1e-5, 1e-6, "logprob" + what);
          expect_near(got.entropy, entropy, kF32, 1e-5, 1e-5, "entropy" + what);
        }
        ++turn;
      }
  });
}

RR_TEST("cuda head: a row has the same bits alone, with logits stored, and sampled") {
  under_every_order([](uint64_t seed) {
    Random random(174 + seed);
    const DataType type = kTypes[seed % 2];
    const Head head(random, type, 70, 24, 600, 1.25f);
    const DeviceHead device(head);
    const Forward all = forward(device, device.input(true));
    for (const int64_t row : {0, 1, 33, 69}) {
      const Forward alone = forward(device, device.input(true, row, 1));
      expect_same_bits(alone.logprob.data(), all.logprob.data() + row, 1, "log-prob alone");
      expect_same_bits(alone.entropy.data(), all.entropy.data() + row, 1, "entropy alone");
    }
    const DeviceArray<float> logits(3 * 600);
    const Forward stored = forward(device, device.input(true, 0, 3), logits.data());
    const auto z = logits.host();
    expect_same_bits(stored.lse.data(), all.lse.data(), 3, "lse with logits stored");
    const float plain = z[size_t(head.targets[0])] * 1.25f - all.lse[0];
    expect_same_bits(&plain, all.logprob.data(), 1, "logit / temperature - lse");

    // What is sampled, scored as a target: the importance ratio is exactly one.
    std::vector<uint64_t> streams;
    for (int i = 0; i < 70; ++i) streams.push_back(uint64_t(900 + i));
    const DeviceArray<uint64_t> dev_streams(streams);
    const DeviceArray<int64_t> positions(std::vector<int64_t>(70, 4));
    const DeviceArray<int32_t> token(70);
    const DeviceArray<float> logprob(70), entropy(70), lse(70);
    call(device_table().head_sample(
        nullptr, type, token.data(), logprob.data(), entropy.data(), lse.data(), device.input(true),
        {11, dev_streams.data(), positions.data()}, 0, device.scratch.data()));
    cuda::HeadInput again = device.input(true);
    again.targets = token.data();
    const Forward trained = forward(device, again);
    expect_same_bits(logprob.host().data(), trained.logprob.data(), 70, "sampled = trained");
    expect_same_bits(entropy.host().data(), trained.entropy.data(), 70, "entropies");
    expect_same_bits(lse.host().data(), all.lse.data(), 70, "lse");
  });
}

RR_TEST("cuda head: a target that is not allowed, and NaN") {
  Random random(177);
  Head head(random, kF32, 2, 8, 1200, 1);
  head.targets = {3, 1100};
  head.begin = {0, 2, 4};
  head.ids = {4, 9, 4, 9};
  const DeviceHead device(head);
  for (const float p : forward(device, device.input(true)).logprob) expect(p == -INFINITY, "-inf");
  Head bad = head;
  bad.hidden[3] = NAN;
  const DeviceHead broken(bad);
  const Forward f = forward(broken, broken.input(false));
  expect(!std::isfinite(f.lse[0]) && std::isfinite(f.lse[1]), "only the row with the NaN");
}

RR_TEST("cuda head: gradients against central differences, in chunks of the vocabulary") {
  under_every_order([](uint64_t seed) {
    Random random(178 + seed);
    for (const DataType type : kTypes)
      for (const bool restricted : {false, true}) {
        const int64_t t = 5, h = 6, v = 150;
        const Head head(random, type, t, h, v, 1.3f);
        const DeviceHead device(head);
        const auto up = random.normals(t), entropy_up = random.normals(t);
        const Forward saved = forward(device, device.input(restricted));
        const DeviceArray<float> dlogprob(up), dentropy(entropy_up), lse(saved.lse),
            entropy(saved.entropy);
        std::vector<double> x = to_double(head.hidden), w = to_double(head.weight);
        std::vector<double> logprob(size_t(t), 0.0), ent(logprob);
        const auto value = [&] {
          reference::head_loss(logprob.data(), ent.data(), nullptr, x.data(), w.data(),
                               head.targets.data(), head.allowed(restricted), head.shape);
          double sum = 0;
          for (int64_t i = 0; i < t; ++i)
            sum += (head.targets[size_t(i)] >= 0 ? double(up[size_t(i)]) * logprob[size_t(i)] : 0) +
                   double(entropy_up[size_t(i)]) * ent[size_t(i)];
          return sum;
        };
        std::vector<double> want(x.size()), want_head(w.size());
        for (size_t i = 0; i < x.size(); ++i) want[i] = central_difference(value, x, i);
        for (size_t i = 0; i < w.size(); ++i) want_head[i] = central_difference(value, w, i);
        std::vector<float> first;
        for (const int64_t chunk : {64, 128, 192}) {
          const DeviceValues dz(type, t * chunk);
          const DeviceArray<float> dhidden(t * h), dhead(std::vector<float>(size_t(v * h), 0.5f));
          call(device_table().head_backward(nullptr, type, dhidden.data(),
                                            chunk == 128 ? dhead.data() : nullptr, dlogprob.data(),
                                            dentropy.data(), lse.data(), entropy.data(),
                                            device.input(restricted), dz.data(), chunk));
          const auto got = dhidden.host();
          if (first.empty()) first = got;
          expect_same_bits(got.data(), first.data(), t * h, "dhidden in another chunk");
          // bf16 rounds dz, whose sizes add up to a few units, before it multiplies the head.
          const double absolute = type == kBF16 ? 8 * kBf16Rounding : 2e-5;
          expect_near(got, want, type, absolute, 2e-5, "dhidden");
          if (chunk != 128) continue;
          auto got_head = dhead.host();
          for (float& g : got_head) g -= 0.5f;
          expect_near(got_head, want_head, type, absolute, 2e-5, "dhead");
        }
      }
  });
}

RR_TEST(
    "cuda head: a draw is the largest z + Gumbel noise of its own stream; greedy the largest z") {
  under_every_order([](uint64_t seed) {
    Random random(181 + seed);
    const int64_t t = 67, h = 8, v = 140;
    const Head head(random, kTypes[seed % 2], t, h, v, 1 / 0.8f);
    const DeviceHead device(head);
    std::vector<uint64_t> streams;
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < t; ++i) {
      streams.push_back(uint64_t(random.integer(1000)));
      positions.push_back(random.integer(50));
    }
    const DeviceArray<uint64_t> dev_streams(streams);
    const DeviceArray<int64_t> dev_positions(positions);
    const cuda::DrawInput draw{99, dev_streams.data(), dev_positions.data()};
    for (const bool greedy : {false, true}) {
      const DeviceArray<int32_t> token(t);
      const DeviceArray<float> logprob(t), lse(t);
      call(device_table().head_sample(nullptr, head.type, token.data(), logprob.data(), nullptr,
                                      lse.data(), device.input(true), draw, greedy,
                                      device.scratch.data()));
      const auto got = token.host();
      for (int64_t row = 0; row < t; ++row) {
        std::vector<double> score(size_t(v), -INFINITY);
        const bool limited = head.begin[size_t(row)] < head.begin[size_t(row) + 1];
        for (int64_t token_id = 0; token_id < v; ++token_id) {
          if (limited && !std::binary_search(head.ids.begin() + head.begin[size_t(row)],
                                             head.ids.begin() + head.begin[size_t(row) + 1],
                                             int32_t(token_id)))
            continue;
          double z = 0;
          for (int64_t j = 0; j < h; ++j)
            z += double(head.hidden[size_t(row * h + j)]) *
                 double(head.weight[size_t(token_id * h + j)]);
          const auto words =
              philox4x32(99, streams[size_t(row)],
                         uint64_t(positions[size_t(row)]) << 32 | uint64_t(token_id) / 4);
          const double u = (double(words[size_t(token_id) % 4]) + 0.5) * 0x1p-32;
          score[size_t(token_id)] = greedy ? z : z / double(0.8f) - std::log(-std::log1p(-u));
        }
        const auto best = std::max_element(score.begin(), score.end());
        // fp32 of scores of size 10: another token only where the two are as near as that.
        expect(score[size_t(got[size_t(row)])] >= *best - 2e-5,
               "row " + std::to_string(row) + " drew " + std::to_string(got[size_t(row)]) +
                   ", expected " + std::to_string(best - score.begin()));
      }
    }
  });
}

RR_TEST("cuda head: draws are distributed as the softmax") {
  use_order(1);
  Random random(184);
  const int64_t t = 640, h = 4, v = 6;
  Head head(random, kF32, t, h, v, 1);
  for (int64_t row = 1; row < t; ++row)  // one distribution, many rows
    std::copy_n(head.hidden.begin(), h, head.hidden.begin() + row * h);
  const DeviceHead device(head);
  std::vector<double> z(size_t(v), 0.0), count(size_t(v), 0.0);
  double sum = 0;
  for (int64_t i = 0; i < v; ++i) {
    for (int64_t j = 0; j < h; ++j)
      z[size_t(i)] += double(head.hidden[size_t(j)]) * double(head.weight[size_t(i * h + j)]);
    sum += std::exp(z[size_t(i)]);
  }
  std::vector<uint64_t> streams;
  for (int64_t i = 0; i < t; ++i) streams.push_back(uint64_t(i));
  const DeviceArray<uint64_t> dev_streams(streams);
  const int64_t rounds = 4;
  for (int64_t round = 0; round < rounds; ++round) {
    const DeviceArray<int64_t> positions(std::vector<int64_t>(size_t(t), round));
    const DeviceArray<int32_t> token(t);
    const DeviceArray<float> logprob(t), lse(t);
    call(device_table().head_sample(
        nullptr, kF32, token.data(), logprob.data(), nullptr, lse.data(), device.input(false),
        {5, dev_streams.data(), positions.data()}, 0, device.scratch.data()));
    for (const int32_t id : token.host()) count[size_t(id)] += 1;
  }
  double chi = 0;
  for (int64_t i = 0; i < v; ++i) {
    const double expected = double(rounds * t) * std::exp(z[size_t(i)]) / sum;
    chi += (count[size_t(i)] - expected) * (count[size_t(i)] - expected) / expected;
  }
  // Chi-squared of 5 degrees of freedom exceeds 20.5 once in a thousand; the seed is fixed.
  expect(chi < 20.5, "chi-squared " + std::to_string(chi));
}

RR_TEST("cuda head: filtered draws are the CPU sampler's, ties and restricted rows included") {
  under_every_order([](uint64_t seed) {
    Random random(185 + seed);
    const Sampling kinds[] = {{0.8f, 0, 1, 0, 1},  {1, 5, 1, 0, 1},     {1.3f, 0, 0.7f, 0, 1},
                              {1, 20, 0.9f, 0, 1}, {1, 0, 1, 0.05f, 1}, {0.6f, 40, 0.95f, 0.02f, 1},
                              {0, 0, 1, 0, 1},     {1, 1, 1, 0, 1},     {1, 3, 0.5f, 0, 1}};
    const int64_t t = 4, v = 300;
    Sampler sampler;
    int turn = int(seed);
    for (const Sampling& kind : kinds) {
      Head head(random, kF32, t, 4, v, kind.inv_temperature());
      const DeviceHead device(head);
      auto logits = random.normals(t * v, 2);
      if (turn++ % 2)  // ties: a coarse grid
        for (float& x : logits) x = std::round(x * 2) / 2;
      const std::vector<float> lse(size_t(t), 3.5f);
      std::vector<uint64_t> streams;
      std::vector<int64_t> positions;
      for (int64_t i = 0; i < t; ++i) {
        streams.push_back(uint64_t(random.integer(1 << 20)));
        positions.push_back(random.integer(100));
      }
      const DeviceArray<float> dev_logits(logits), dev_lse(lse), logprob(t);
      const DeviceArray<uint64_t> dev_streams(streams);
      const DeviceArray<int64_t> dev_positions(positions);
      const DeviceArray<int32_t> token(t);
      call(device_table().head_sample_filtered(
          nullptr, token.data(), logprob.data(), dev_logits.data(), dev_lse.data(),
          device.input(true), {7, dev_streams.data(), dev_positions.data()},
          {kind.temperature == 0, kind.top_k, kind.top_p, kind.min_p}));
      const auto got = token.host();
      const auto got_logprob = logprob.host();
      for (int64_t row = 0; row < t; ++row) {
        const size_t i = size_t(row);
        const int64_t count = head.begin[i + 1] - head.begin[i];
        const double u = philox_uniform(7, streams[i], uint64_t(positions[i]));
        const int32_t want = sampler.draw(kind, logits.data() + row * v,
                                          count ? head.ids.data() + head.begin[i] : nullptr,
                                          count ? count : v, nullptr, 0, u);
        expect(got[i] == want, "kind " + std::to_string(&kind - kinds) + " row " +
                                   std::to_string(row) + ": " + std::to_string(got[i]) +
                                   ", the CPU drew " + std::to_string(want));
        const float p = logits[size_t(row * v + want)] * kind.inv_temperature() - 3.5f;
        expect_same_bits(&got_logprob[i], &p, 1, "log-prob");
      }
    }
  });
}

}  // namespace reasonrec::test
