// safetensors files: what is written is read back, and what is malformed is refused with a reason.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include "core/check.h"
#include "core/safetensors.h"
#include "harness.h"
#include "refusal_limits.h"
#include "temporary_folder.h"

namespace reasonrec::test {
namespace {

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

std::string with_header(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data_bytes, '\1');
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   int64_t begin, int64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape +
         "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

RR_TEST("safetensors: written tensors and metadata are read back") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.safetensors";
  const std::vector<float> a = {1, -2, 3.5f, 4, 5, 6}, b = {7}, none;
  write_safetensors(path,
                    {{"layer.a", {2, 3}, a.data()},
                     {"quote \" \\ \n\xC3\xA9", {}, b.data()},
                     {"empty", {0, 4}, none.data()}},
                    {{"format", "pt"}, {"note", "two\nlines"}});
  expect(!std::filesystem::exists(path + ".tmp"), "the temporary is gone");
  const SafetensorsFile file(path);
  expect(file.tensors().size() == 3 && file.metadata().at("note") == "two\nlines",
         "names and metadata");
  const TensorView& view = file.tensors().at("layer.a");
  expect(view.shape == std::vector<int64_t>{2, 3} && view.dtype == DType::kF32, "shape and dtype");
  std::vector<float> read = nans(6);
  view.to_float(read.data());
  expect_same_bits(read.data(), a.data(), 6, "values");
  expect(file.tensors().at("quote \" \\ \n\xC3\xA9").elements() == 1 &&
             file.tensors().at("empty").elements() == 0,
         "scalar and empty");
  write_safetensors(path, {{"b", {1}, b.data()}});  // replaces
  expect(SafetensorsFile(path).tensors().count("b") == 1, "replaced");
}

RR_TEST("safetensors: half and double precision are converted exactly") {
  const TemporaryFolder folder;
  const std::string path = folder / "half.safetensors";
  const uint16_t half[] = {0x3C00, 0xC000, 0x0001, 0x83FF, 0x7BFF, 0x0400, 0x8000, 0x7C00};
  const uint16_t brain[] = {0x3F80, 0xC040, 0x0001, 0x7F7F};
  const double wide[] = {1.0 / 3};
  const int64_t whole[] = {3};
  std::string bytes = with_header(
      "{" + tensor("h", "F16", "8", 0, 16) + "," + tensor("b", "BF16", "4", 16, 24) + "," +
          tensor("d", "F64", "1", 24, 32) + "," + tensor("i", "I64", "1", 32, 40) + "}   ",
      0);
  bytes.append(reinterpret_cast<const char*>(half), 16)
      .append(reinterpret_cast<const char*>(brain), 8);
  bytes.append(reinterpret_cast<const char*>(wide), 8)
      .append(reinterpret_cast<const char*>(whole), 8);
  write_bytes(path, bytes);
  const SafetensorsFile file(path);
  std::vector<float> got = nans(8);
  const float halves[] = {1, -2, 0x1p-24f, -1023 * 0x1p-24f, 65504, 0x1p-14f, -0.0f, INFINITY};
  file.tensors().at("h").to_float(got.data());
  expect_same_bits(got.data(), halves, 8, "F16");
  const float brains[] = {1, -3, 0x1p-133f, 0x1.fep127f};
  file.tensors().at("b").to_float(got.data());
  expect_same_bits(got.data(), brains, 4, "BF16");
  file.tensors().at("d").to_float(got.data());
  expect(got[0] == float(1.0 / 3), "F64");
  try {
    file.tensors().at("i").to_float(got.data());
  } catch (const Error& error) {
    expect(error.code == "RR_BAD_DTYPE", "I64 as weights: " + error.code);
    return;
  }
  throw Failure{"I64 was read as weights"};
}

// name, bytes of the file, words of the reason
struct Malformed {
  const char* name;
  std::string bytes, reason;
};

std::vector<Malformed> malformed() {
  const std::string a = tensor("a", "F32", "2", 0, 8), b = tensor("b", "F32", "1", 8, 12);
  const auto with = [](const std::string& body, size_t data) {
    return with_header("{" + body + "}", data);
  };
  const auto header_length = [](uint64_t n, size_t rest) {
    std::string out(8 + rest, ' ');
    std::memcpy(out.data(), &n, 8);
    return out;
  };
  return {
      {"empty file", "", "shorter"},
      {"seven bytes", std::string(7, '\0'), "shorter"},
      {"header of no bytes", std::string(8, '\0'), "expected '{'"},
      {"header longer than the file", header_length(1000, 40), "truncated"},
      {"header over 100 MB", header_length(100'000'001, 40), "at most"},
      {"header length of all ones", header_length(~uint64_t(0), 40), "at most"},
      {"truncated tensors", with(a + "," + b, 11), "truncated"},
      {"trailing bytes", with(a + "," + b, 13), "1 bytes after the last tensor"},
      {"tensors only in the header", with(a, 0), "truncated"},
      {"bytes without tensors", with("", 4), "after the last tensor"},
      {"overlap", with(a + "," + tensor("b", "F32", "1", 4, 8), 8), "overlaps"},
      {"the same place twice", with(a + "," + tensor("b", "F32", "2", 0, 8), 8), "overlaps"},
      {"gap", with(a + "," + tensor("b", "F32", "1", 12, 16), 16), "gap"},
      {"gap at the start", with(tensor("a", "F32", "1", 4, 8), 8), "gap"},
      {"size unlike shape", with(tensor("a", "F32", "3", 0, 8), 8), "takes 12 bytes"},
      {"end before begin", with(tensor("a", "F32", "2", 8, 0), 8), "takes 8 bytes"},
      {"huge dimension", with(tensor("a", "F32", "36893488147419103234", 0, 8), 8),
       "number is too large"},
      {"overflowing product", with(tensor("a", "F32", "800000000000000000,32", 0, 8), 8),
       "overflows"},
      {"shape that wraps to the size", with(tensor("a", "F32", "70368744177664,65536", 0, 0), 0),
       "overflows"},
      {"nine dimensions", with(tensor("a", "F32", "1,1,1,1,1,1,1,1,1", 0, 4), 4), "longer than 8"},
      {"negative dimension", with(tensor("a", "F32", "-1", 0, 4), 4), "not negative"},
      {"fraction", with(tensor("a", "F32", "1.0", 0, 4), 4), "expected ']'"},
      {"leading zero", with(tensor("a", "F32", "01", 0, 4), 4), "begins with 0"},
      {"huge offset",
       with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}", 4),
       "too large"},
      {"one offset", with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}", 4),
       "two data_offsets"},
      {"three offsets", with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}", 4),
       "longer than 2"},
      {"unknown dtype", with(tensor("a", "F8_E4M3", "4", 0, 4), 4), "not supported"},
      {"no dtype", with("\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}", 4), "lacks"},
      {"no shape", with("\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}", 4), "lacks"},
      {"unknown field",
       with("\"a\":{\"dtype\":\"F32\",\"kind\":[],\"shape\":[1],\"data_offsets\":[0,4]}", 4),
       "unknown field"},
      {"field twice",
       with("\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", 4),
       "duplicate field"},
      {"name twice", with(a + "," + tensor("a", "F32", "1", 8, 12), 12), "duplicate tensor"},
      {"name twice, once escaped", with(a + "," + tensor("\\u0061", "F32", "1", 8, 12), 12),
       "duplicate tensor"},
      {"metadata twice", with("\"__metadata__\":{},\"__metadata__\":{}", 0), "duplicate name"},
      {"metadata key twice", with("\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}", 0),
       "duplicate metadata"},
      {"metadata that is no text", with("\"__metadata__\":{\"k\":1}", 0), "expected '\"'"},
      {"list instead of object", with_header("[]", 0), "expected '{'"},
      {"tensor that is a list", with("\"a\":[]", 0), "expected '{'"},
      {"unclosed object", with_header("{" + a, 8), "expected '}'"},
      {"unclosed string", with_header("{\"a", 0), "does not end"},
      {"trailing comma", with(a + ",", 8), "expected '\"'"},
      {"two objects", with_header("{}{}", 0), "text after"},
      {"padding that is no space", with_header(std::string("{}\0\0", 4), 0), "text after"},
      {"control character", with_header("{\"a\n\":1}", 0), "control character"},
      {"bad escape", with_header("{\"\\x\":1}", 0), "bad escape"},
      {"short unicode escape", with_header("{\"\\u12\":1}", 0), "bad \\u"},
      {"lone surrogate", with_header("{\"\\ud800\":1}", 0), "UTF-8"},
      {"overlong UTF-8", with_header("{\"\xC0\xAF\":1}", 0), "UTF-8"},
      {"cut UTF-8", with_header("{\"\xE2\x82\":1}", 0), "UTF-8"},
      {"deep nesting", with_header(std::string(100000, '['), 0), "expected '{'"},
  };
}

RR_TEST("safetensors: every malformed file is refused in one line that says why") {
  const TemporaryFolder folder;
  const std::string path = folder / "bad.safetensors";
  for (const Malformed& m : malformed()) {
    write_bytes(path, m.bytes);
    expect_refusal(m.name, m.bytes.size(), "RR_BAD_SAFETENSORS", m.reason,
                   [&] { SafetensorsFile file(path); });
  }
}

// A valid file cut at every length, and with every byte of its header changed, is refused or read
// without touching memory outside of the file (run under sanitizers to see the second half).
RR_TEST("safetensors: cut and altered files never read out of bounds") {
  const TemporaryFolder folder;
  const std::string path = folder / "altered.safetensors";
  const std::string whole =
      with_header("{\"__metadata__\":{\"format\":\"pt\"}," + tensor("a", "F32", "2,3", 0, 24) +
                      "," + tensor("b", "F16", "4", 24, 32) + "}",
                  32);
  const auto attempt = [&](const std::string& bytes) {
    write_bytes(path, bytes);
    try {
      const SafetensorsFile file(path);
      for (const auto& [name, view] : file.tensors()) {
        std::vector<float> out(static_cast<size_t>(view.elements()));
        if (view.dtype != DType::kI64 && view.dtype != DType::kI32 && view.dtype != DType::kU8)
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
  for (size_t at = 0; at < whole.size() - 32; ++at)
    for (const char c : {'0', '9', '"', ' ', '\x80'}) {
      std::string altered = whole;
      altered[at] = c;
      attempt(altered);
    }
}

RR_TEST("safetensors: only regular files are opened, and a failed write leaves nothing") {
  const TemporaryFolder folder;
  const auto code_of = [](auto call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.code;
    }
    return "nothing thrown";
  };
  expect(code_of([&] { SafetensorsFile file(folder / "absent"); }) == "RR_FILE_NOT_FOUND",
         "an absent file");
  expect(code_of([&] { SafetensorsFile file(folder.path()); }) == "RR_BAD_SAFETENSORS", "a folder");
  const std::string pipe = folder / "pipe";
  expect(mkfifo(pipe.c_str(), 0600) == 0, "mkfifo");
  expect(code_of([&] { SafetensorsFile file(pipe); }) == "RR_BAD_SAFETENSORS", "a pipe");

  const float value = 1;
  expect(code_of([&] { write_safetensors(folder / "no/such/folder", {{"a", {1}, &value}}); }) ==
             "RR_WRITE_FAILED",
         "a folder that is not there");
  const std::string occupied = folder / "occupied";  // rename onto a folder fails after the write
  std::filesystem::create_directories(occupied + "/inside");
  expect(code_of([&] { write_safetensors(occupied, {{"a", {1}, &value}}); }) == "RR_WRITE_FAILED",
         "a folder in the way");
  expect(!std::filesystem::exists(occupied + ".tmp"), "the temporary of a failed write is gone");
}

}  // namespace
}  // namespace reasonrec::test
