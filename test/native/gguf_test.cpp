// GGUF files: what is stored is read back, and what is malformed is refused with a reason.
#include "core/gguf.h"

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/quantised_blocks.h"
#include "model/weight_files.h"
#include "refusal_limits.h"
#include "temporary_folder.h"

namespace reasonrec::test {
namespace {

// Bytes of a file, piece by piece.
struct Bytes {
  std::string data;
  template <class T>
  Bytes& number(T value) {
    data.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& u32(uint32_t v) { return number(v); }
  Bytes& u64(uint64_t v) { return number(v); }
  Bytes& text(const std::string& s) {
    u64(s.size());
    data += s;
    return *this;
  }
  Bytes& pair(const std::string& name, uint32_t type) { return text(name).u32(type); }
  Bytes& tensor(const std::string& name, const std::vector<uint64_t>& extents, uint32_t type,
                uint64_t offset) {
    text(name).u32(uint32_t(extents.size()));
    for (const uint64_t n : extents) u64(n);
    return u32(type).u64(offset);
  }
};
constexpr uint32_t kUint8 = 0, kUint32 = 4, kFloat32 = 6, kBool = 7, kText = 8, kList = 9,
                   kUint64 = 10;
constexpr uint32_t kStoredF32 = 0, kStoredQ4_0 = 2, kStoredQ4_K = 12;

Bytes head(uint64_t tensors, uint64_t pairs, uint32_t version = 3) {
  Bytes out;
  out.data = "GGUF";
  return out.u32(version).u64(tensors).u64(pairs);
}

// Header, padding, and `data` bytes of tensors.
std::string with_data(Bytes header, size_t data, size_t alignment = 32) {
  header.data.resize((header.data.size() + alignment - 1) / alignment * alignment, '\0');
  return header.data + std::string(data, '\1');
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

std::string valid() {
  Bytes h = head(2, 6);
  h.pair("general.architecture", kText).text("llama");
  h.pair("llama.block_count", kUint32).u32(2);
  h.pair("some.flag", kBool).number(uint8_t(1));
  h.pair("some.list", kList).u32(kFloat32).u64(3).number(1.0f).number(-2.0f).number(0.5f);
  h.pair("some.words", kList).u32(kText).u64(2).text("a").text("\xC3\xA9");
  h.pair("some.count", kUint64).u64(uint64_t(1) << 40);
  h.tensor("a", {4, 3}, kStoredF32, 0).tensor("b", {32}, kStoredQ4_0, 64);
  return with_data(h, 64 + 18);
}

RR_TEST("gguf: metadata and tensors are read back") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.gguf";
  write_bytes(path, valid());
  expect(GgufFile::is_gguf(path) && !GgufFile::is_gguf(folder / "none"), "told by its magic");
  const GgufFile file(path);
  const auto& meta = file.metadata();
  expect(file.text("general.architecture") == "llama" && file.text("some.count").empty(), "texts");
  expect(meta.at("llama.block_count").number_at(0) == 2, "number");
  expect(meta.at("some.flag").number_at(0) == 1, "bool");
  expect(meta.at("some.count").number_at(0) == 0x1p40, "64 bits");
  const GgufValue& list = meta.at("some.list");
  expect(list.is_array && list.count == 3 && list.number_at(1) == -2, "list");
  expect(meta.at("some.words").texts() == std::vector<std::string>{"a", "\xC3\xA9"}, "words");
  expect(file.tensors().at("a").shape == std::vector<int64_t>{3, 4}, "slowest first");
  expect(file.tensors().at("b").dtype == DType::kQ4_0, "type");
  expect(static_cast<const char*>(file.tensors().at("b").data) -
                 static_cast<const char*>(file.tensors().at("a").data) ==
             64,
         "offset");
}

struct Malformed {
  const char* name;
  std::string bytes, words;
  const char* code = "RR_BAD_GGUF";
};

std::vector<Malformed> malformed_headers() {
  const uint64_t many = uint64_t(1) << 60;
  const auto cut = [](size_t n) { return valid().substr(0, n); };
  const auto one = [](Bytes pair) { return with_data(pair, 0); };
  return {
      {"empty file", "", "shorter"},
      {"magic alone", "GGUF", "shorter"},
      {"another magic", "GGML" + std::string(60, '\0'), "does not begin with GGUF"},
      {"version 1", head(0, 0, 1).data, "version 1"},
      {"version 4", head(0, 0, 4).data, "version 4"},
      {"version of all ones", head(0, 0, ~0u).data, "version 4294967295"},
      {"big endian", head(0, 0, 0x03000000).data, "big-endian"},
      {"more tensors than bytes", head(1000, 0).data, "1000 tensors in a file"},
      {"tensors of all ones", head(~uint64_t(0), 0).data, "tensors in a file"},
      {"tensors that wrap when multiplied", head(many, 0).data, "tensors in a file"},
      {"more pairs than bytes", head(0, 1000).data, "1000 metadata entries"},
      {"pairs of all ones", head(0, ~uint64_t(0)).data, "metadata entries"},
      {"too many pairs for any model", with_data(head(0, 70'000), 2'000'000), "70000 metadata"},
      {"cut within the counts", cut(20), "shorter"},
      {"cut within a name", cut(40), "in a file of 40 bytes"},
      {"cut within the tensor list", cut(valid().size() - 82 - 40), "ends within"},
      {"name longer than the file", one(head(0, 1).u64(600).u32(kUint32).u32(1)), "ends within"},
      {"name of all ones", one(head(0, 1).u64(~uint64_t(0)).u64(0)), "a metadata name of"},
      {"empty name", one(head(0, 1).pair("", kUint32).u32(1)), "a metadata name is empty"},
      {"name that is no UTF-8", one(head(0, 1).pair("\xC0\xAF", kUint32).u32(1)), "not UTF-8"},
      {"unknown type of value", one(head(0, 1).pair("x", 13).u64(1)), "unknown type 13"},
      {"type of all ones", one(head(0, 1).pair("x", ~0u).u64(1)), "unknown type"},
      {"text longer than the file", one(head(0, 1).pair("x", kText).u64(1000)), "ends within"},
      {"text of all ones", one(head(0, 1).pair("x", kText).u64(~uint64_t(0))), "ends within"},
      {"text that is no UTF-8", one(head(0, 1).pair("x", kText).text("\xED\xA0\x80")), "not UTF-8"},
      {"bool that is two", one(head(0, 1).pair("x", kBool).u32(2)), "is no bool"},
      {"list longer than the file", one(head(0, 1).pair("x", kList).u32(kUint32).u64(1000)),
       "more than the file has room for"},
      {"list of all ones", one(head(0, 1).pair("x", kList).u32(kUint8).u64(~uint64_t(0))),
       "more than the file has room for"},
      {"list that wraps when multiplied",
       one(head(0, 1).pair("x", kList).u32(kUint64).u64(many * 2)),
       "more than the file has room for"},
      {"list of texts that wraps", one(head(0, 1).pair("x", kList).u32(kText).u64(many * 2)),
       "more than the file has room for"},
      {"list in a list", one(head(0, 1).pair("x", kList).u32(kList).u64(1).u32(kUint8).u64(0)),
       "nests arrays"},
      {"list of an unknown type", one(head(0, 1).pair("x", kList).u32(77).u64(1)), "type 77"},
      {"text in a list beyond the file",
       one(head(0, 1).pair("x", kList).u32(kText).u64(2).text("a").u64(1 << 20)), "ends within"},
      {"name twice", one(head(0, 2).pair("x", kUint32).u32(1).pair("x", kUint32).u32(1)),
       "x twice"},
      {"alignment of no power of two", one(head(0, 1).pair("general.alignment", kUint32).u32(48)),
       "power of two"},
      {"alignment of nothing", one(head(0, 1).pair("general.alignment", kUint32).u32(0)),
       "power of two"},
      {"alignment beyond reason", one(head(0, 1).pair("general.alignment", kUint32).u32(1u << 30)),
       "power of two"},
      {"alignment that is a text", one(head(0, 1).pair("general.alignment", kText).text("32")),
       "power of two"},
  };
}

std::vector<Malformed> malformed_tensors() {
  const auto f32 = [](const std::vector<uint64_t>& extents, uint64_t offset, size_t data) {
    return with_data(head(1, 0).tensor("a", extents, kStoredF32, offset), data);
  };
  const auto typed = [](uint32_t type) {
    return with_data(head(1, 0).tensor("a", {256}, type, 0), 1024);
  };
  const char* const unread = "RR_UNSUPPORTED_QUANTISATION";
  const uint64_t two32 = uint64_t(1) << 32;
  return {
      {"no dimensions", with_data(head(1, 0).tensor("a", {}, kStoredF32, 0).u64(0), 64),
       "0 dimensions"},
      {"five dimensions", f32({1, 1, 1, 1, 1}, 0, 64), "5 dimensions"},
      {"dimensions of all ones", with_data(head(1, 0).text("a").u32(~0u).u64(1).u32(0).u64(0), 64),
       "4294967295 dimensions"},
      {"an extent of nothing", f32({4, 0}, 0, 64), "is empty"},
      {"an extent of all ones", f32({~uint64_t(0)}, 0, 64), "overflows"},
      {"a shape that wraps to nothing", f32({two32, two32}, 0, 64), "overflows"},
      {"bytes that wrap", f32({two32, uint64_t(1) << 30}, 0, 64), "overflows"},
      {"more than the file holds", f32({1000}, 0, 64), "ends after the file"},
      {"an offset beyond the file", f32({4}, 1 << 20, 64), "is expected"},
      {"an offset of all ones", f32({4}, ~uint64_t(0), 64), "is expected"},
      {"an offset off the alignment", f32({4}, 4, 64), "is expected"},
      {"no data", f32({4}, 0, 0), "ends after the file"},
      {"data cut short", with_data(head(1, 0).tensor("a", {32, 4}, kStoredQ4_0, 0), 71),
       "ends after the file"},
      {"overlap",
       with_data(head(2, 0).tensor("a", {16}, kStoredF32, 0).tensor("b", {8}, kStoredF32, 32), 96),
       "begins at 32"},
      {"gap",
       with_data(head(2, 0).tensor("a", {8}, kStoredF32, 0).tensor("b", {8}, kStoredF32, 64), 96),
       "begins at 64"},
      {"out of order",
       with_data(head(2, 0).tensor("a", {8}, kStoredF32, 32).tensor("b", {8}, kStoredF32, 0), 64),
       "begins at 32"},
      {"the same name",
       with_data(head(2, 0).tensor("a", {8}, kStoredF32, 0).tensor("a", {8}, kStoredF32, 32), 64),
       "tensor a twice"},
      {"bytes after the last", f32({8}, 0, 65), "bytes after the last tensor"},
      {"a row of no whole blocks", with_data(head(1, 0).tensor("a", {48}, kStoredQ4_0, 0), 64),
       "no whole blocks of Q4_0"},
      {"a row of 896 in blocks of 256",
       with_data(head(1, 0).tensor("a", {896}, kStoredQ4_K, 0), 512), "no whole blocks of Q4_K"},
      {"an empty tensor name", with_data(head(1, 0).tensor("", {8}, kStoredF32, 0), 32),
       "is empty"},
      {"a tensor name beyond reason",
       with_data(head(1, 0).tensor(std::string(2000, 'a'), {8}, kStoredF32, 0), 32),
       "a tensor's name of 2000"},
      {"IQ4_XS", typed(23), "IQ4_XS", unread},
      {"IQ2_XXS", typed(16), "IQ2_XXS", unread},
      {"IQ1_M", typed(29), "IQ1_M", unread},
      {"MXFP4", typed(39), "MXFP4", unread},
      {"TQ1_0", typed(34), "TQ1_0", unread},
      {"whole numbers", typed(26), "I32", unread},
      {"a type given up long ago", typed(4), "type 4", unread},
      {"a type of all ones", typed(~0u), "type 4294967295", unread},
  };
}

RR_TEST("gguf: every malformed file is refused in one line that says why, at once") {
  const TemporaryFolder folder;
  const std::string path = folder / "bad.gguf";
  for (const auto& table : {malformed_headers(), malformed_tensors()})
    for (const Malformed& m : table) {
      write_bytes(path, m.bytes);
      expect_refusal(m.name, m.bytes.size(), m.code, m.words, [&] { GgufFile file(path); });
    }
  expect_refusal("a folder", 0, "RR_BAD_GGUF", "regular file",
                 [&] { GgufFile file(folder.path()); });
  expect_refusal("nothing", 0, "RR_FILE_NOT_FOUND", "absent",
                 [&] { GgufFile file(folder / "absent"); });
}

RR_TEST("gguf: cut and altered files never read out of bounds") {
  const TemporaryFolder folder;
  const std::string path = folder / "altered.gguf";
  const std::string whole = valid();
  const auto attempt = [&](const std::string& bytes) {
    write_bytes(path, bytes);
    try {
      const GgufFile file(path);
      for (const auto& [name, value] : file.metadata()) {
        if (value.type == GgufType::kString)
          value.texts();
        else
          for (uint64_t i = 0; i < value.count; ++i) value.number_at(i);
      }
      for (const auto& [name, view] : file.tensors()) {
        std::vector<float> out(static_cast<size_t>(view.elements()));
        view.to_float(out.data());
      }
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  expect(attempt(whole), "the whole file is read");
  for (size_t n = 0; n < whole.size(); ++n)
    expect(!attempt(whole.substr(0, n)), "cut to " + std::to_string(n) + " bytes: accepted");
  for (size_t at = 0; at < whole.size() - 82; ++at)
    for (const char c : {'\0', '\1', '\x7f', '\x80', '\xff', 'a'}) {
      std::string altered = whole;
      altered[at] = c;
      attempt(altered);
    }
}

RR_TEST("gguf: every half-precision number is widened exactly") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const int exponent = int(bits >> 10 & 31), fraction = int(bits & 1023);
    const double sign = bits >> 15 ? -1 : 1;
    const float got = half_to_float(uint16_t(bits));
    if (exponent == 31) {
      expect(fraction ? std::isnan(got) : std::isinf(got) && std::signbit(got) == (bits >> 15),
             "not finite: " + std::to_string(bits));
      continue;
    }
    const double want =
        exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    expect(double(got) == sign * want && std::signbit(got) == (bits >> 15), std::to_string(bits));
  }
}

// One block by hand for each kind of layout; whole tensors of every format are compared with
// another program's numbers in test/unit/engine/gguf.test.ts.
RR_TEST("gguf: blocks by hand") {
  const auto value_of = [](DType dtype, std::string block, int64_t i) {
    std::vector<float> out(size_t(facts(dtype).elements));
    block.resize(size_t(facts(dtype).bytes), '\0');
    dequantise_blocks(out.data(), dtype, block.data(), 1);
    return out[size_t(i)];
  };
  const std::string two("\x00\x40", 2), one("\x00\x3C", 2);  // halves
  expect(value_of(DType::kQ8_0, two + "\x05\xFD", 1) == -6, "Q8_0");
  expect(value_of(DType::kQ4_0, two + "\xF1", 0) == -14, "Q4_0, low");
  expect(value_of(DType::kQ4_0, two + "\xF1", 16) == 14, "Q4_0, high");
  expect(value_of(DType::kQ4_1, two + one + "\xF1", 16) == 31, "Q4_1");
  expect(value_of(DType::kQ5_0, two + std::string("\x00\x00\x01\x00", 4) + "\xF1", 16) == 30,
         "Q5_0");
  expect(value_of(DType::kQ5_1, one + two + std::string("\x01\x00\x00\x00", 4) + "\xF1", 0) == 19,
         "Q5_1");
  std::string q6(210, '\0');
  q6[0] = '\x21';    // low nibble of 0 is 1, of 64 is 2
  q6[128] = '\x20';  // upper bits of 64 are 2
  q6[192 + 4] = 3;   // scale of 64..79
  q6.replace(208, 2, two);
  expect(value_of(DType::kQ6_K, q6, 64) == 2 * 3 * (2 + 32 - 32), "Q6_K");
}

RR_TEST("gguf: names and the order of rows of q and k") {
  expect(checkpoint_name("blk.12.attn_q.weight") == "model.layers.12.self_attn.q_proj.weight" &&
             checkpoint_name("blk.0.ffn_norm.weight") ==
                 "model.layers.0.post_attention_layernorm.weight" &&
             checkpoint_name("output.weight") == "lm_head.weight" &&
             checkpoint_name("blk.0.ssm_a") == "blk.0.ssm_a" &&
             checkpoint_name("rope_freqs.weight") == "rope_freqs.weight",
         "names");
  // Two heads of four rows; the file has rows 0 2 1 3 of the checkpoint in each head.
  const std::vector<float> stored = {0, 2, 1, 3, 4, 6, 5, 7};
  StoredTensor tensor{{DType::kF32, {8, 1}, stored.data()}, 4};
  std::vector<float> rows(8), vector(8);
  tensor.rows(rows.data(), 0, 8);
  tensor.view.shape = {8};
  tensor.vector(vector.data());
  for (int i = 0; i < 8; ++i)
    expect(rows[size_t(i)] == float(i) && vector[size_t(i)] == float(i),
           "row " + std::to_string(i));
}

}  // namespace
}  // namespace reasonrec::test
