// GGUF files, versions 2 and 3, little endian:
//   "GGUF" | u32 version | u64 tensors | u64 pairs | pairs | tensor list | padding | tensor data
// A pair is a name, a type and a value; a tensor of the list has name, extents (fastest first),
// type and an offset into the data. Mapped, never copied whole; values stay where they lie until
// they are asked for. Refused with a reason: counts and lengths that the file has no room for
// (compared before anything is allocated), strings that are not UTF-8, names twice, arrays in
// arrays, an alignment that is no power of two, tensors out of order, overlapping, with gaps or
// beyond the file, rows that are no whole number of blocks, big-endian files. Types that this
// project does not read (IQ, MXFP and others) are refused by name.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor_view.h"

namespace reasonrec {

enum class GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

// A value as it lies in the file: one, or `count` of an array.
struct GgufValue {
  GgufType type = GgufType::kUint8;  // of the value, or of an array's elements
  bool is_array = false;
  uint64_t count = 1;
  const char* data = nullptr;
  double number_at(uint64_t i) const;      // of a number or bool; i < count
  std::vector<std::string> texts() const;  // of strings
  std::string text() const { return texts().at(0); }
};

class GgufFile {
 public:
  explicit GgufFile(const std::string& path);  // throws RR_FILE_NOT_FOUND, RR_BAD_GGUF,
                                               // RR_UNSUPPORTED_QUANTISATION
  ~GgufFile();
  static bool is_gguf(const std::string& path);  // by its first four bytes
  const std::map<std::string, GgufValue>& metadata() const;
  const std::map<std::string, TensorView>& tensors() const;  // shapes slowest first
  // The text under this name, "" where there is none.
  std::string text(const std::string& name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reasonrec
