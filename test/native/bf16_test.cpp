// Weights held in bf16 give the bits of fp32 panels that hold the same (rounded) values: in every
// product, whatever its rows, in the head, in the embedding, and in a whole decoder's gradients.
#include <bit>
#include <fstream>

#include "core/bfloat16.h"
#include "core/check.h"
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

// (n, k) as a checkpoint holds B (k, n), b[i * ks + j * ns].
std::vector<uint16_t> stored_rows(const float* b, int64_t k, int64_t n, int64_t ks, int64_t ns) {
  std::vector<uint16_t> rows;
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < k; ++i) rows.push_back(to_bfloat16(b[i * ks + j * ns]));
  return rows;
}

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
          const auto rows = stored_rows(b.data(), k, n, n, 1);
          const Panels as_stored{nullptr, k * panel, nullptr, rows.data()};
          kernels->gemm(ctx, want.data(), n, m, n, &in_fp32, 1, GemmStart::kBias, bias.data());
          kernels->gemm(ctx, got.data(), n, m, n, &in_bf16, 1, GemmStart::kBias, bias.data());
          expect_same_bits(got.data(), want.data(), m * n, "product");
          std::vector<float> turned(a.size());
          for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < k; ++j) turned[size_t(j * m + i)] = a[size_t(i * k + j)];
          for (const Panels& panels : {half.panels, as_stored}) {
            const GemmTerm by_columns{turned.data(), 1, m, panels, k};
            kernels->gemm(ctx, columns.data(), n, m, n, &by_columns, 1, GemmStart::kBias,
                          bias.data());
            expect_same_bits(columns.data(), want.data(), m * n, "A column-major");
          }
          auto unpacked = nans(m * n);
          const GemmTerm from_rows{a.data(), k, 1, as_stored, k};
          kernels->gemm(ctx, unpacked.data(), n, m, n, &from_rows, 1, GemmStart::kBias,
                        bias.data());
          expect_same_bits(unpacked.data(), want.data(), m * n, "B as stored");
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
        const int64_t values = PanelStore::values(WeightType::kBF16, int(panel), k, n);
        for (int64_t i = 0; i < values; ++i)
          expect(strips.at(0).bf16[i] == whole.panels.bf16[i], "strips");
        int64_t zeros = 0;
        for (int64_t i = 0; i < values; ++i) zeros += whole.panels.bf16[i] == 0;
        expect(zeros >= values - n * k, "padding");

        const auto rows = stored_rows(want.data(), k, n, 1, k);
        PanelStore from_rows;
        from_rows.add(k, n);
        from_rows.borrow(*kernels, 0, rows.data());
        const int64_t bytes = from_rows.bytes(WeightType::kBF16);
        expect(from_rows.at(0).rows == rows.data() && !from_rows.allocated(), "borrowed");
        from_rows.allocate(*kernels, WeightType::kBF16);
        expect(from_rows.bytes(WeightType::kBF16) == bytes, "as announced");
        from_rows.pack_rows(ctx, 0, rows.data());
        for (int64_t i = 0; i < values; ++i)
          expect(from_rows.at(0).bf16[i] == whole.panels.bf16[i], "from rows");
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
    for (const Table& form :
         {Table{table.data(), nullptr, {}}, Table{nullptr, half.data(), {}},
          Table{nullptr, nullptr, full_panels.panels}, Table{nullptr, nullptr, half_panels.panels},
          Table{nullptr, nullptr, {nullptr, h * kernels->panel, nullptr, half.data()}}}) {
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

// A checkpoint of bf16 matrices and fp32 vectors, as `model`'s master rounds to.
void write_bf16(Model& model, const std::string& path) {
  std::string header = "{", data;
  for (const Parameter& p : model.layout().entries) {
    const size_t begin = data.size();
    for (int64_t i = 0; i < p.size(); ++i) {
      const float x = model.values()[p.offset + i];
      const uint16_t half = to_bfloat16(x);
      data.append(
          p.decay ? reinterpret_cast<const char*>(&half) : reinterpret_cast<const char*>(&x),
          p.decay ? 2 : 4);
    }
    const std::string rows = p.decay ? std::to_string(p.rows) + "," : "";
    header += (header.size() > 1 ? ",\"" : "\"") + p.name + "\":{\"dtype\":\"" +
              (p.decay ? "BF16" : "F32") + "\",\"shape\":[" + rows + std::to_string(p.cols) +
              "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(data.size()) +
              "]}";
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  const uint64_t size = header.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), 8);
  file << header << data;
}

RR_TEST("bf16: read where the file lies, packed at the second forward, the same bits both times") {
  const TemporaryFolder folder;
  for (const Kernels* kernels : cpu_kernels()) {
    TestContext context(*kernels, 2);
    for (const Family& family : families()) {
      const auto source = tiny_model(context, family.config, 63);
      for (const Parameter& p : source->layout().entries)
        for (int64_t i = p.offset; p.decay && i < p.offset + p.size(); ++i)
          source->values()[i] = rounded(source->values()[i]);
      source->refresh(context);
      const std::string file = folder / "bf16";
      write_bf16(*source, file);
      Random random(64);
      Example example;
      append(example, random_ids(random, family.config, 13), random.normals(13));
      Pass want;
      want.run(context, *source, {}, example);
      for (const WeightType type : {WeightType::kAuto, WeightType::kF32}) {
        const auto model = Model::load(context, family.config, {file}, type);
        const int64_t bytes = model->bytes();
        for (int forward = 0; forward < 3; ++forward) {
          const std::string name = family.name + ", forward " + std::to_string(forward);
          expect((model->head().rows == nullptr) == (forward > 1), name + ", packed");
          expect(model->bytes() == bytes, name + ", bytes");
          auto hidden = nans(int64_t(want.hidden.size()));
          Activations saved;
          decoder_forward_train(context, *model, {}, example.batch, hidden.data(), saved);
          expect_same_bits(hidden.data(), want.hidden.data(), int64_t(hidden.size()), name);
        }
        const auto trained = Model::load(context, family.config, {file}, type);
        trained->make_trainable(context);
        expect_same_bits(trained->values(), source->values(), source->layout().total, "master");
        const auto saved = Model::load(context, family.config, {file}, type);
        saved->save(context, folder / "saved");
        const auto again = Model::load(context, family.config, {folder / "saved"});
        again->make_trainable(context);
        expect_same_bits(again->values(), source->values(), source->layout().total, "saved");
      }
      for (const char* name : {"model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight"}) {
        const int64_t at = source->layout().at(name).offset + 5;
        const float kept = source->values()[at];
        source->values()[at] = std::numeric_limits<float>::infinity();
        write_bf16(*source, folder / "damaged");
        source->values()[at] = kept;
        bool refused = false;
        try {
          Model::load(context, family.config, {folder / "damaged"});
        } catch (const Error& error) {
          refused = error.code == std::string("RR_NON_FINITE_WEIGHTS") &&
                    std::string(error.what()).find(name) != std::string::npos;
        }
        expect(refused, std::string("not finite: ") + name);
      }
    }
  }
}

}  // namespace
}  // namespace reasonrec::test
