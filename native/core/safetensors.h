// safetensors: 8 bytes of little-endian header length, a JSON header, raw tensors. Mapped, never
// copied whole. Refused with a reason: header over 100 MB or over the file, offsets unsorted,
// overlapping or with gaps, sizes that do not match shape x dtype (checked multiplication), an end
// that is not the file's end, duplicate names, anything but a regular file.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor_view.h"

namespace reasonrec {

class SafetensorsFile {
 public:
  explicit SafetensorsFile(
      const std::string& path);  // throws RR_FILE_NOT_FOUND, RR_BAD_SAFETENSORS
  ~SafetensorsFile();
  const std::map<std::string, TensorView>& tensors() const;
  const std::map<std::string, std::string>& metadata() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct TensorToWrite {
  std::string name;
  std::vector<int64_t> shape;
  const float* data;  // written as F32
};
// Writes path + ".tmp", flushes it to disk and renames it. Throws RR_WRITE_FAILED with path and
// reason.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>&,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace reasonrec
