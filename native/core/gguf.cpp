// The strict GGUF reader; see gguf.h for the format and what is refused.
#include "core/gguf.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/mapped_file.h"

namespace reasonrec {
namespace {

constexpr uint64_t kMostEntries = 65'536;  // pairs, and tensors: real files have a few thousand
constexpr uint64_t kMostNameBytes = 1024;
constexpr uint32_t kMostDimensions = 4;
constexpr uint64_t kMostAlignment = 65'536;  // bytes

struct StoredType {
  uint32_t number;
  const char* name;
  int dtype;  // of DType, -1: not read
};
// The numbers of the format; names for the refusal of those that are not read.
constexpr StoredType kStoredTypes[] = {
    {0, "F32", int(DType::kF32)},
    {1, "F16", int(DType::kF16)},
    {2, "Q4_0", int(DType::kQ4_0)},
    {3, "Q4_1", int(DType::kQ4_1)},
    {6, "Q5_0", int(DType::kQ5_0)},
    {7, "Q5_1", int(DType::kQ5_1)},
    {8, "Q8_0", int(DType::kQ8_0)},
    {9, "Q8_1", -1},
    {10, "Q2_K", int(DType::kQ2_K)},
    {11, "Q3_K", int(DType::kQ3_K)},
    {12, "Q4_K", int(DType::kQ4_K)},
    {13, "Q5_K", int(DType::kQ5_K)},
    {14, "Q6_K", int(DType::kQ6_K)},
    {15, "Q8_K", -1},
    {16, "IQ2_XXS", -1},
    {17, "IQ2_XS", -1},
    {18, "IQ3_XXS", -1},
    {19, "IQ1_S", -1},
    {20, "IQ4_NL", -1},
    {21, "IQ3_S", -1},
    {22, "IQ2_S", -1},
    {23, "IQ4_XS", -1},
    {24, "I8", -1},
    {25, "I16", -1},
    {26, "I32", -1},
    {27, "I64", -1},
    {28, "F64", int(DType::kF64)},
    {29, "IQ1_M", -1},
    {30, "BF16", int(DType::kBF16)},
    {34, "TQ1_0", -1},
    {35, "TQ2_0", -1},
    {39, "MXFP4", -1},
    {40, "NVFP4", -1},
};

// Bytes of a value's type, 0 for those without a fixed size.
uint64_t size_of(GgufType type) {
  constexpr uint64_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kSizes[uint32_t(type)];
}

template <class T>
T at(const char* bytes) {
  T value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

struct TensorEntry {
  std::string name;
  TensorView view;
  uint64_t offset = 0, bytes = 0;
};

// Walks the header once; every length is compared with what is left before it is used.
class HeaderReader {
 public:
  HeaderReader(const std::string& path, const MappedFile& file)
      : path_(path), bytes_(file.bytes()), size_(file.size()) {}

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error("RR_BAD_GGUF", path_ + ": " + reason + " (byte " + std::to_string(at_) + ")", "",
                "", "download or export the file again");
  }
  uint64_t left() const { return size_ - at_; }
  uint64_t position() const { return at_; }

  void read(std::map<std::string, GgufValue>& metadata, std::vector<TensorEntry>& tensors) {
    if (memcmp(take(4, "the magic"), "GGUF", 4) != 0) fail("does not begin with GGUF");
    const uint32_t version = number<uint32_t>("the version");
    if (version == 0x02000000 || version == 0x03000000) fail("a big-endian file is not read");
    if (version != 2 && version != 3)
      fail("version " + std::to_string(version) + ", versions 2 and 3 are read");
    const uint64_t tensor_count = number<uint64_t>("the number of tensors");
    const uint64_t pair_count = number<uint64_t>("the number of metadata entries");
    require_count(tensor_count, 24, "tensors");  // name length, extents, one extent, type, offset
    require_count(pair_count, 13, "metadata entries");  // name length, type, one byte
    for (uint64_t i = 0; i < pair_count; ++i) {
      const std::string name = this->name("a metadata name");
      const GgufValue value = this->value(name);
      if (!metadata.emplace(name, value).second) fail("metadata " + printable(name) + " twice");
    }
    for (uint64_t i = 0; i < tensor_count; ++i) tensors.push_back(tensor());
  }

 private:
  const char* take(uint64_t n, const char* what) {
    if (n > left()) fail(std::string("the file ends within ") + what);
    const char* out = bytes_ + at_;
    at_ += n;
    return out;
  }
  template <class T>
  T number(const char* what) {
    return at<T>(take(sizeof(T), what));
  }
  void require_count(uint64_t count, uint64_t least_bytes, const char* what) const {
    if (count > kMostEntries || count > left() / least_bytes)
      fail(std::to_string(count) + " " + what + " in a file of " + std::to_string(size_) +
           " bytes");
  }
  // A string's bytes; left standing where it lies.
  const char* string(uint64_t& length, const char* what) {
    length = number<uint64_t>(what);
    const char* text = take(length, what);
    if (!valid_utf8(text, length)) fail(std::string(what) + " is not UTF-8");
    return text;
  }
  std::string name(const char* what) {
    if (left() >= 8 && at<uint64_t>(bytes_ + at_) > kMostNameBytes)
      fail(std::string(what) + " of " + std::to_string(at<uint64_t>(bytes_ + at_)) + " bytes");
    uint64_t length = 0;
    const char* text = string(length, what);
    if (length == 0) fail(std::string(what) + " is empty");
    return std::string(text, length);
  }
  GgufType type(const std::string& name) {
    const uint32_t number = this->number<uint32_t>("a metadata type");
    if (number > uint32_t(GgufType::kFloat64))
      fail("metadata " + printable(name) + " has the unknown type " + std::to_string(number));
    return GgufType(number);
  }

  GgufValue value(const std::string& name) {
    GgufValue out;
    out.type = type(name);
    out.is_array = out.type == GgufType::kArray;
    if (out.is_array) {
      out.type = type(name);
      if (out.type == GgufType::kArray) fail("metadata " + printable(name) + " nests arrays");
      out.count = number<uint64_t>("an array's length");
    }
    const bool strings = out.type == GgufType::kString;
    const uint64_t least = strings ? 8 : size_of(out.type);
    if (out.count > left() / least)
      fail("metadata " + printable(name) + " has " + std::to_string(out.count) +
           " values, more than the file has room for");
    out.data = bytes_ + at_;
    if (!strings) {
      take(out.count * least, "a metadata value");
      if (out.type == GgufType::kBool)
        for (uint64_t i = 0; i < out.count; ++i)
          if (uint8_t(out.data[i]) > 1) fail("metadata " + printable(name) + " is no bool");
      return out;
    }
    for (uint64_t i = 0; i < out.count; ++i) {
      uint64_t length = 0;
      string(length, "a metadata string");
    }
    return out;
  }

  DType dtype(const std::string& name) {
    const uint32_t number = this->number<uint32_t>("a tensor's type");
    for (const StoredType& stored : kStoredTypes) {
      if (stored.number != number) continue;
      if (stored.dtype >= 0) return DType(stored.dtype);
      refuse_type(name, stored.name);
    }
    refuse_type(name, "type " + std::to_string(number));
  }
  [[noreturn]] void refuse_type(const std::string& name, const std::string& got) const {
    throw Error("RR_UNSUPPORTED_QUANTISATION",
                path_ + ": tensor " + printable(name) + " is stored in a format that is not read",
                "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K or Q6_K", got,
                "choose another quantisation of the model, or its safetensors");
  }

  TensorEntry tensor() {
    TensorEntry out;
    out.name = name("a tensor's name");
    const uint32_t dimensions = number<uint32_t>("a tensor's extents");
    if (dimensions < 1 || dimensions > kMostDimensions)
      fail("tensor " + printable(out.name) + " has " + std::to_string(dimensions) +
           " dimensions, 1 to 4 are read");
    std::vector<uint64_t> extents;
    for (uint32_t i = 0; i < dimensions; ++i)
      extents.push_back(number<uint64_t>("a tensor's extents"));
    out.view.dtype = dtype(out.name);
    out.offset = number<uint64_t>("a tensor's offset");
    const DTypeFacts& f = facts(out.view.dtype);
    if (extents[0] % uint64_t(f.elements) != 0)
      fail("rows of " + std::to_string(extents[0]) + " of tensor " + printable(out.name) +
           " are no whole blocks of " + f.name);
    uint64_t elements = 1;
    for (const uint64_t n : extents) {
      if (n == 0) fail("tensor " + printable(out.name) + " is empty");
      if (n > uint64_t(INT64_MAX) || __builtin_mul_overflow(elements, n, &elements))
        fail("the shape of tensor " + printable(out.name) + " overflows");
      out.view.shape.insert(out.view.shape.begin(), int64_t(n));
    }
    if (__builtin_mul_overflow(elements / uint64_t(f.elements), uint64_t(f.bytes), &out.bytes))
      fail("the shape of tensor " + printable(out.name) + " overflows");
    return out;
  }

  const std::string& path_;
  const char* bytes_;
  uint64_t size_, at_ = 0;
};

uint64_t alignment_of(const HeaderReader& reader,
                      const std::map<std::string, GgufValue>& metadata) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return 32;
  const GgufValue& v = found->second;
  const bool number = !v.is_array && v.type == GgufType::kUint32;
  const uint64_t alignment = number ? uint64_t(v.number_at(0)) : 0;
  if (alignment < 8 || alignment > kMostAlignment || (alignment & (alignment - 1)) != 0)
    reader.fail("general.alignment is no power of two from 8 to 65536");
  return alignment;
}

// Tensors follow one another in the order of the list, each beginning at the next multiple of the
// alignment, and the last one ends the file, but for its padding.
void place(const HeaderReader& reader, const std::vector<TensorEntry>& tensors, uint64_t alignment,
           uint64_t data_bytes) {
  uint64_t next = 0, end = 0;
  for (const TensorEntry& t : tensors) {
    if (t.offset != next)
      reader.fail("tensor " + printable(t.name) + " begins at " + std::to_string(t.offset) +
                  " of the data, " + std::to_string(next) + " is expected");
    if (t.bytes > data_bytes || t.offset > data_bytes - t.bytes)
      reader.fail("tensor " + printable(t.name) + " ends after the file (truncated?)");
    end = t.offset + t.bytes;
    next = (end + alignment - 1) / alignment * alignment;
  }
  if (data_bytes > next)
    reader.fail(std::to_string(data_bytes - end) + " bytes after the last tensor");
}

}  // namespace

double GgufValue::number_at(uint64_t i) const {
  const char* p = data + i * size_of(type);
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kBool:
      return at<uint8_t>(p);
    case GgufType::kInt8:
      return at<int8_t>(p);
    case GgufType::kUint16:
      return at<uint16_t>(p);
    case GgufType::kInt16:
      return at<int16_t>(p);
    case GgufType::kUint32:
      return at<uint32_t>(p);
    case GgufType::kInt32:
      return at<int32_t>(p);
    case GgufType::kFloat32:
      return double(at<float>(p));
    case GgufType::kUint64:
      return double(at<uint64_t>(p));
    case GgufType::kInt64:
      return double(at<int64_t>(p));
    case GgufType::kFloat64:
      return at<double>(p);
    default:
      throw Error("RR_BAD_GGUF", "a metadata text was read as a number");
  }
}

std::vector<std::string> GgufValue::texts() const {
  check(type == GgufType::kString, "RR_BAD_GGUF", "a metadata number was read as a text");
  std::vector<std::string> out;
  const char* p = data;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t length = at<uint64_t>(p);
    out.emplace_back(p + 8, length);
    p += 8 + length;
  }
  return out;
}

struct GgufFile::Impl {
  MappedFile file;
  std::map<std::string, GgufValue> metadata;
  std::map<std::string, TensorView> tensors;
  explicit Impl(const std::string& path) : file(path, 24, "RR_BAD_GGUF") {}
};

GgufFile::GgufFile(const std::string& path) : impl_(std::make_unique<Impl>(path)) {
  HeaderReader reader(path, impl_->file);
  std::vector<TensorEntry> tensors;
  reader.read(impl_->metadata, tensors);
  const uint64_t alignment = alignment_of(reader, impl_->metadata);
  const uint64_t begin = (reader.position() + alignment - 1) / alignment * alignment;
  const uint64_t data_bytes = begin < impl_->file.size() ? impl_->file.size() - begin : 0;
  place(reader, tensors, alignment, data_bytes);
  for (TensorEntry& t : tensors) {
    t.view.data = impl_->file.bytes() + begin + t.offset;
    if (!impl_->tensors.emplace(t.name, t.view).second)
      reader.fail("tensor " + printable(t.name) + " twice");
  }
}

GgufFile::~GgufFile() = default;
const std::map<std::string, GgufValue>& GgufFile::metadata() const { return impl_->metadata; }
const std::map<std::string, TensorView>& GgufFile::tensors() const { return impl_->tensors; }

std::string GgufFile::text(const std::string& name) const {
  const auto found = impl_->metadata.find(name);
  const bool is = found != impl_->metadata.end() && found->second.type == GgufType::kString &&
                  !found->second.is_array;
  return is ? found->second.text() : "";
}

bool GgufFile::is_gguf(const std::string& path) {
  char magic[4] = {};
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  const bool whole = ::read(fd, magic, sizeof magic) == sizeof magic;
  close(fd);
  return whole && memcmp(magic, "GGUF", 4) == 0;
}

}  // namespace reasonrec
