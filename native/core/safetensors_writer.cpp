// The safetensors writer. The file appears under its name only when all of it is on the disk:
// path + ".tmp" is written, flushed and renamed, then the folder is flushed. On any failure the
// temporary is removed and whatever had the name before is untouched.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/safetensors.h"

namespace reasonrec {

namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (uint8_t(c) < 0x20) {
      constexpr const char* kHex = "0123456789abcdef";
      out += std::string("\\u00") + kHex[uint8_t(c) >> 4] + kHex[uint8_t(c) & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string header_text(const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string out = "{";
  if (!metadata.empty()) {
    out += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) out += quoted(key) + ":" + quoted(value) + ",";
    out.back() = '}';
    out += ',';
  }
  uint64_t at = 0;
  for (const TensorToWrite& t : tensors) {
    std::string shape;
    uint64_t bytes = 4;
    for (const int64_t n : t.shape) {
      bytes *= uint64_t(n);
      shape += (shape.empty() ? "" : ",") + std::to_string(n);
    }
    const uint64_t end = at + bytes;
    out += quoted(t.name) + ":{\"dtype\":\"F32\",\"shape\":[" + shape + "],\"data_offsets\":[" +
           std::to_string(at) + "," + std::to_string(end) + "]},";
    at = end;
  }
  if (out.size() > 1)
    out.back() = '}';
  else
    out += '}';
  out.resize((out.size() + 7) / 8 * 8, ' ');  // tensors begin at a multiple of 8 bytes
  return out;
}

// The temporary is removed unless the rename happened.
class ReplacingFile {
 public:
  explicit ReplacingFile(const std::string& path) : path_(path), temporary_(path + ".tmp") {
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("open");
  }
  ~ReplacingFile() {
    if (fd_ >= 0) close(fd_);
    if (!done_) unlink(temporary_.c_str());
  }
  void write_all(const void* data, size_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::write(fd_, at, std::min(bytes, size_t(1) << 28));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("write");
      if (n == 0) errno = ENOSPC, fail("write");
      at += n;
      bytes -= size_t(n);
    }
  }
  void commit() {
    if (fsync(fd_) != 0) fail("fsync");
    const int fd = std::exchange(fd_, -1);
    if (close(fd) != 0) fail("close");
    if (rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename");
    done_ = true;
    const size_t slash = path_.find_last_of('/');
    const std::string folder =
        slash == std::string::npos ? "." : path_.substr(0, std::max<size_t>(slash, 1));
    const int dir = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = dir >= 0 && fsync(dir) == 0;
    const int reason = errno;
    if (dir >= 0) close(dir);
    if (!synced && reason != EINVAL) errno = reason, fail("fsync of the folder");
  }

 private:
  [[noreturn]] void fail(const char* call) const {
    throw Error("RR_WRITE_FAILED", path_ + " was not written: " + call + " failed", "",
                strerror(errno), "check free space and permissions");
  }
  std::string path_, temporary_;
  int fd_ = -1;
  bool done_ = false;
};

}  // namespace

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_text(tensors, metadata);
  const uint64_t length = header.size();
  ReplacingFile file(path);
  file.write_all(&length, 8);
  file.write_all(header.data(), header.size());
  for (const TensorToWrite& t : tensors) {
    size_t bytes = 4;
    for (const int64_t n : t.shape) bytes *= size_t(n);
    file.write_all(t.data, bytes);
  }
  file.commit();
}

}  // namespace reasonrec
