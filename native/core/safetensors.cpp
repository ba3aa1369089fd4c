// The safetensors reader (the writer: safetensors_writer.cpp). A file is
//   u64 header length (little endian) | JSON header, space padded | tensors, back to back
// and the header one flat object: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0,
// 24]}, ...} with an optional "__metadata__" of strings. The parser below reads exactly that
// language and nothing else; every refusal is one line with the byte or the tensor it is about.
// Nothing is allocated from a number in the file before that number was compared with the file's
// size.
#include "core/safetensors.h"

#include <string.h>

#include <algorithm>
#include <bit>

#include "core/check.h"
#include "core/mapped_file.h"

namespace reasonrec {

static_assert(std::endian::native == std::endian::little,
              "tensors are read in place as little endian");

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // bytes
constexpr size_t kMaxDimensions = 8;

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += {char(0xC0 | code >> 6), char(0x80 | (code & 0x3F))};
  } else if (code < 0x10000) {
    out += {char(0xE0 | code >> 12), char(0x80 | (code >> 6 & 0x3F)), char(0x80 | (code & 0x3F))};
  } else {
    out += {char(0xF0 | code >> 18), char(0x80 | (code >> 12 & 0x3F)),
            char(0x80 | (code >> 6 & 0x3F)), char(0x80 | (code & 0x3F))};
  }
}

struct Entry {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes from the first tensor
};

// Recursive descent over the header's fixed depth: tensors -> fields -> shape.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, const char* text, size_t size)
      : path_(path), text_(text), size_(size) {}

  void parse(std::map<std::string, Entry>& entries, std::map<std::string, std::string>& metadata) {
    bool saw_metadata = false;
    members([&](const std::string& name) {
      if (name == "__metadata__") {
        if (saw_metadata) fail("duplicate name __metadata__");
        saw_metadata = true;
        members([&](const std::string& key) {
          if (!metadata.emplace(key, string()).second)
            fail("duplicate metadata key " + printable(key));
        });
        return;
      }
      if (entries.count(name)) fail("duplicate tensor " + printable(name));
      entries.emplace(name, entry(name));
    });
    while (at_ < size_ && text_[at_] == ' ') ++at_;  // the padding
    if (at_ != size_) fail("text after the header's object");
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error("RR_BAD_SAFETENSORS",
                path_ + ": " + reason + " (header byte " + std::to_string(at_) + ")", "", "",
                "download or export the file again");
  }

 private:
  void space() {
    while (at_ < size_ && strchr(" \t\r\n", text_[at_]) && text_[at_] != 0) ++at_;
  }
  bool take(char c) {
    space();
    if (at_ >= size_ || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(std::string("expected '") + c + "'");
  }

  // {"key": <value>, ...}; value(key) reads the value.
  template <class Value>
  void members(Value value) {
    expect('{');
    if (take('}')) return;
    do {
      const std::string key = string();
      expect(':');
      value(key);
    } while (take(','));
    expect('}');
  }

  Entry entry(const std::string& name) {
    Entry e;
    int seen = 0;
    const auto once = [&](int bit) {
      if (seen & bit) fail("duplicate field in tensor " + printable(name));
      seen |= bit;
    };
    members([&](const std::string& field) {
      if (field == "dtype") {
        once(1);
        const std::string got = string();
        int known = 0;
        while (known <= int(DType::kU8) && got != facts(DType(known)).name) ++known;
        if (known > int(DType::kU8))
          fail("tensor " + printable(name) + " has dtype " + printable(got) +
               ", which is not supported");
        e.dtype = DType(known);
      } else if (field == "shape") {
        once(2);
        for (const uint64_t n : integers(kMaxDimensions)) e.shape.push_back(int64_t(n));
      } else if (field == "data_offsets") {
        once(4);
        const std::vector<uint64_t> offsets = integers(2);
        if (offsets.size() != 2) fail("tensor " + printable(name) + " needs two data_offsets");
        e.begin = offsets[0];
        e.end = offsets[1];
      } else {
        fail("unknown field " + printable(field) + " in tensor " + printable(name));
      }
    });
    if (seen != 7) fail("tensor " + printable(name) + " lacks dtype, shape or data_offsets");
    return e;
  }

  std::vector<uint64_t> integers(size_t most) {
    std::vector<uint64_t> out;
    expect('[');
    if (take(']')) return out;
    do {
      if (out.size() == most) fail("a list is longer than " + std::to_string(most));
      out.push_back(integer());
    } while (take(','));
    expect(']');
    return out;
  }

  uint64_t integer() {
    space();
    const size_t first = at_;
    uint64_t n = 0;
    for (; at_ < size_ && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (n > uint64_t(INT64_MAX) / 10 - 1) fail("a number is too large");
      n = n * 10 + uint64_t(text_[at_] - '0');
    }
    if (at_ == first) fail("expected a number that is not negative");
    if (text_[first] == '0' && at_ > first + 1) fail("a number begins with 0");
    return n;
  }

  uint32_t hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < size_ ? text_[at_] : '\0';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail("bad \\u escape");
      code = code << 4 | uint32_t(digit);
    }
    return code;
  }

  std::string string() {
    expect('"');
    std::string out;
    for (;;) {
      if (at_ >= size_) fail("a string does not end");
      const char c = text_[at_++];
      if (c == '"') break;
      if (uint8_t(c) < 0x20) fail("a control character in a string");
      if (c == '\\') {
        escape(out);
      } else {
        out += c;
      }
    }
    if (!valid_utf8(out.data(), out.size())) fail("a string is not valid UTF-8");
    return out;
  }

  void escape(std::string& out) {
    const char c = at_ < size_ ? text_[at_++] : '\0';
    constexpr const char* kShort = "\"\\/bfnrt";
    constexpr const char* kMeaning = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
      uint32_t code = hex4();
      if (code >= 0xD800 && code < 0xDC00 && at_ + 1 < size_ && text_[at_] == '\\' &&
          text_[at_ + 1] == 'u') {
        at_ += 2;
        const uint32_t low = hex4();
        if (low < 0xDC00 || low >= 0xE000) fail("bad surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      append_utf8(out, code);  // a lone surrogate is refused as invalid UTF-8
    } else if (const char* found = c ? strchr(kShort, c) : nullptr) {
      out += kMeaning[found - kShort];
    } else {
      fail("bad escape in a string");
    }
  }

  const std::string& path_;
  const char* text_;
  size_t size_, at_ = 0;
};

// Shapes match sizes, and the tensors tile [0, data_bytes) without gap or overlap.
void check_extents(const HeaderParser& parser, const std::map<std::string, Entry>& entries,
                   uint64_t data_bytes) {
  std::vector<const std::pair<const std::string, Entry>*> order;
  for (const auto& item : entries) {
    const Entry& e = item.second;
    uint64_t bytes = uint64_t(facts(e.dtype).bytes);
    for (const int64_t n : e.shape)
      if (__builtin_mul_overflow(bytes, uint64_t(n), &bytes))
        parser.fail("the shape of " + printable(item.first) + " overflows");
    if (e.end < e.begin || e.end - e.begin != bytes)
      parser.fail("tensor " + printable(item.first) + " takes " + std::to_string(bytes) +
                  " bytes, its data_offsets say [" + std::to_string(e.begin) + ", " +
                  std::to_string(e.end) + "]");
    if (e.end > data_bytes)
      parser.fail("tensor " + printable(item.first) + " ends after the file (truncated?)");
    order.push_back(&item);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t at = 0;
  for (const auto* item : order) {
    if (item->second.begin != at)
      parser.fail("tensor " + printable(item->first) +
                  (item->second.begin < at ? " overlaps" : " leaves a gap after") +
                  " the one before it");
    at = item->second.end;
  }
  if (at != data_bytes)
    parser.fail(std::to_string(data_bytes - at) + " bytes after the last tensor");
}

}  // namespace

struct SafetensorsFile::Impl {
  MappedFile file;
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> metadata;
  explicit Impl(const std::string& path) : file(path, 8, "RR_BAD_SAFETENSORS") {}
};

SafetensorsFile::SafetensorsFile(const std::string& path) : impl_(std::make_unique<Impl>(path)) {
  const size_t size = impl_->file.size();
  const char* bytes = impl_->file.bytes();
  uint64_t header = 0;
  memcpy(&header, bytes, 8);
  const auto refuse = [&](const std::string& reason) {
    throw Error("RR_BAD_SAFETENSORS", path + ": header of " + std::to_string(header) + reason, "",
                "", "download or export the file again");
  };
  if (header > kMaxHeader) refuse(" bytes, at most 100000000 are read");
  if (header > size - 8) refuse(" bytes in a file of " + std::to_string(size) + " (truncated?)");
  HeaderParser parser(path, bytes + 8, size_t(header));
  std::map<std::string, Entry> entries;
  parser.parse(entries, impl_->metadata);
  check_extents(parser, entries, size - 8 - header);
  for (auto& [name, e] : entries)
    impl_->tensors[name] = TensorView{e.dtype, std::move(e.shape), bytes + 8 + header + e.begin};
}

SafetensorsFile::~SafetensorsFile() = default;
const std::map<std::string, TensorView>& SafetensorsFile::tensors() const { return impl_->tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return impl_->metadata;
}

}  // namespace reasonrec
