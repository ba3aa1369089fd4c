// Weights held in bf16 give the bits of fp32 panels that hold the same (rounded) values: in every
// product, whatever its rows, in the head, in the embedding, and in a whole decoder's gradients.
#include <bit>

#include "core/bfloat16.h"
#include "model/panel_store.h"
#include "temporary_folder.h"
#include "tiny_decoder.h"

namespace reasonrec::test {
namespace {

float rounded(float x) { return from_bfloat16(to_bfloat16(x)); }

std::vector<float> rounded(std::vector<float> values) {
  for (float& x : values) x = rounded(x);
  return values;
}

struct Bf16Matrix {
  PanelStore store;
  Panels panels;
  Bf16Matrix(const Context& ctx, const float* b, int64_t k, int64_t n, int64_t ks, int64_t ns) {
    store.add(k, n);
    store.allocate(*ctx.kernels, WeightType::kBF16);
    store.pack(ctx, 0, b, ks, ns);
    panels = store.at(0);
  }
};

RR_TEST("bf16: rounding is to the nearest, ties to even") {
  const struct {
    uint32_t from;
    uint16_t to;
  } cases[] = {{0x3F800000, 0x3F80}, {0x3F807FFF, 0x3F80}, {0x3F808000, 0x3F80},
               {0x3F808001, 0x3F81}, {0x3F818000, 0x3F82}, {0xBF808001, 0xBF81},
               {0x00000001, 0x0000}, {0x7F7F0000, 0x7F7F}, {0x80000000, 0x8000}};
  for (const auto& c : cases)
    expect(to_bfloat16(std::bit_cast<float>(c.from)) == c.to, std::to_string(c.from));
  expect(std::bit_cast<uint32_t>(kLargestBfloat16) == 0x7F7F0000, "the largest one");
}

RR_TEST("bf16: products have the bits of fp32 panels of the same values, for every M and N") {
  Random random(91);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 2);
    const int64_t panel = kernels->panel;
    for (const int64_t n : {int64_t(1), panel - 1, panel, panel + 1, panel * 4 + 3, int64_t(347)})
      for (const int64_t k : {1, 37, 513})
        for (const int64_t m : {1, 2, 3, 4, 5, 11, 13, 97}) {
          const auto a = random.normals(m * k), b = rounded(random.normals(k * n)),
                     bias = random.normals(n);
          const PackedMatrix full(ctx, b.data(), k, n, n, 1);
          const Bf16Matrix half(ctx, b.data(), k, n, n, 1);
          auto want = nans(m * n), got = nans(m * n), columns = nans(m * n);
          const GemmTerm in_fp32{a.data(), k, 1, full.panels, k};
          const GemmTerm in_bf16{a.data(), k, 1, half.panels, k};
          kernels->gemm(ctx, want.data(), n, m, n, &in_fp32, 1, GemmStart::kBias, bias.data());
          kernels->gemm(ctx, got.data(), n, m, n, &in_bf16, 1, GemmStart::kBias, bias.data());
          expect_same_bits(got.data(), want.data(), m * n, "product");
          std::vector<float> turned(a.size());
          for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < k; ++j) turned[size_t(j * m + i)] = a[size_t(i * k + j)];
          const GemmTerm by_columns{turned.data(), 1, m, half.panels, k};
          kernels->gemm(ctx, columns.data(), n, m, n, &by_columns, 1, GemmStart::kBias,
                        bias.data());
          expect_same_bits(columns.data(), want.data(), m * n, "A column-major");
        }
  }
}

RR_TEST("bf16: packing rounds, pads with zeros and unpacks; strips give what the whole gives") {
  Random random(92);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 2);
    const int64_t panel = kernels->panel;
    for (const int64_t n : {panel - 1, panel * 3 + 2, int64_t(701)})
      for (const int64_t k : {1, 33, 97}) {
        const auto w = random.normals(n * k), want = rounded(w);  // (n, k) row-major
        const Bf16Matrix whole(ctx, w.data(), k, n, 1, k);
        auto back = nans(n * k);
        whole.store.unpack(ctx, 0, back.data());
        expect_same_bits(back.data(), want.data(), n * k, "unpacked");
        PanelStore strips;
        strips.add(k, n);
        strips.allocate(*kernels, WeightType::kBF16);
        for (int64_t first = 0; first < n; first += panel)
          strips.pack(ctx, 0, w.data() + first * k, 1, k, first, std::min(panel, n - first));
        const int64_t values = PanelStore::values(int(panel), k, n);
        for (int64_t i = 0; i < values; ++i)
          expect(strips.at(0).bf16[i] == whole.panels.bf16[i], "strips");
        int64_t zeros = 0;
        for (int64_t i = 0; i < values; ++i) zeros += whole.panels.bf16[i] == 0;
        expect(zeros >= values - n * k, "padding");

        std::string stored(1, 'x');  // from an odd byte on
        for (const float x : want) {
          const uint16_t bits = to_bfloat16(x);
          stored.append(reinterpret_cast<const char*>(&bits), 2);
        }
        PanelStore as_stored;
        as_stored.add(k, n);
        as_stored.allocate(*kernels, WeightType::kBF16);
        expect(as_stored.pack_stored(0, stored.data() + 1, 0, n), "finite");
        for (int64_t i = 0; i < values; ++i)
          expect(as_stored.at(0).bf16[i] == whole.panels.bf16[i], "as stored");
        for (const uint16_t odd : {0x7F80, 0xFF80, 0x7FC1})
          for (const size_t at : {size_t(0), size_t(n * k / 2), size_t(n * k - 1)}) {
            std::string damaged = stored;
            std::memcpy(damaged.data() + 1 + 2 * at, &odd, 2);
            expect(!as_stored.pack_stored(0, damaged.data() + 1, 0, n), "not finite");
          }
      }
  }
}

RR_TEST("bf16: the embedding is read from rows or from the head's panels, in either storage") {
  Random random(93);
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext ctx(*kernels, 2);
    const int64_t t = 40, h = 53, v = kernels->panel * 2 + 3;
    const auto table = rounded(random.normals(v * h));
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < t; ++i) ids.push_back(int32_t(random.integer(v)));
    std::vector<float> want(size_t(t * h));
    for (int64_t i = 0; i < t; ++i)
      std::copy_n(table.data() + ids[size_t(i)] * h, h, want.data() + i * h);
    std::vector<uint16_t> half;
    for (const float x : table) half.push_back(to_bfloat16(x));
    const PackedMatrix full_panels(ctx, table.data(), h, v, 1, h);
    const Bf16Matrix half_panels(ctx, table.data(), h, v, 1, h);
    for (const Table& form : {Table{table.data(), nullptr, {}}, Table{nullptr, half.data(), {}},
                              Table{nullptr, nullptr, full_panels.panels},
                              Table{nullptr, nullptr, half_panels.panels}}) {
      auto y = nans(t * h);
      kernels->embedding_forward(ctx, y.data(), ids.data(), form, t, h);
      expect_same_bits(y.data(), want.data(), t * h, "rows");
    }
  }
}

RR_TEST("bf16: a decoder of bf16 values is the same to the bit, forward and backward") {
  const TemporaryFolder folder;
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext context(*kernels);
    for (const Family& family : families()) {
      const auto source = tiny_model(context, family.config, 61);
      for (int64_t i = 0; i < source->layout().total; ++i)
        source->values()[i] = rounded(source->values()[i]);
      source->refresh(context);
      const std::string file = folder / "rounded";
      source->save(context, file);
      Random random(62);
      Example example;
      append(example, random_ids(random, family.config, 13), random.normals(13));
      const auto pass_of = [&](WeightType type) {
        const auto model = Model::load(context, family.config, {file}, type);
        expect(model->type() == type, "held as asked");
        model->prepare_backward(context);
        Pass pass;
        pass.run(context, *model, {}, example);
        return pass;
      };
      const Pass full = pass_of(WeightType::kF32), half = pass_of(WeightType::kBF16);
      expect_same_bits(half.hidden.data(), full.hidden.data(), int64_t(full.hidden.size()),
                       family.name + ", hidden");
      expect_same_bits(half.model.data(), full.model.data(), int64_t(full.model.size()),
                       family.name + ", gradient");
      const auto fp32 = Model::load(context, family.config, {file}, WeightType::kF32);
      const auto bf16 = Model::load(context, family.config, {file}, WeightType::kBF16);
      expect(bf16->bytes() < fp32->bytes(), "takes less");
      bf16->make_trainable(context);
      expect(bf16->type() == WeightType::kF32, "trained in fp32");
      expect_same_bits(bf16->values(), source->values(), source->layout().total, "master");
    }
  }
}

}  // namespace
}  // namespace reasonrec::test
