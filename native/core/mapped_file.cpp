// See mapped_file.h.
#include "core/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>

#include "core/check.h"

namespace reasonrec {

MappedFile::MappedFile(const std::string& path, size_t least, const char* code) {
  const auto refuse = [&](const std::string& reason) {
    throw Error(code, path + ": " + reason, "", "", "download or export the file again");
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block us
  if (fd < 0)
    throw Error("RR_FILE_NOT_FOUND", path + " cannot be opened", "a readable file", strerror(errno),
                "check the path");
  struct stat info{};
  const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  size_ = regular ? size_t(info.st_size) : 0;
  void* map = size_ > 0 ? mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  close(fd);
  if (map != MAP_FAILED) map_ = map;
  const auto release = [&] {
    if (map_) munmap(map_, size_);
    map_ = nullptr;
  };
  if (!regular) refuse("not a regular file");
  if (size_ < least) {
    release();
    refuse("shorter than the " + std::to_string(least) + " bytes it begins with");
  }
  if (!map_) refuse("cannot be mapped into memory");
}

MappedFile::~MappedFile() {
  if (map_) munmap(map_, size_);
}

void release_pages(const void* begin, size_t bytes) {
  const size_t page = size_t(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(begin) + bytes) / page * page;
  if (end > first) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, 120)) out += uint8_t(c) < 0x20 || uint8_t(c) == 0x7f ? '?' : c;
  return out;
}

bool valid_utf8(const char* s, size_t size) {
  for (size_t i = 0; i < size;) {
    const uint8_t c = uint8_t(s[i]);
    const int extra = c < 0x80                ? 0
                      : c >= 0xC2 && c < 0xE0 ? 1
                      : c >= 0xE0 && c < 0xF0 ? 2
                      : c >= 0xF0 && c < 0xF5 ? 3
                                              : -1;
    if (extra < 0 || i + size_t(extra) >= size) return false;
    uint32_t code = extra == 0 ? c : c & (0x3Fu >> extra);
    for (int k = 1; k <= extra; ++k) {
      const uint8_t next = uint8_t(s[i + size_t(k)]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3F);
    }
    if (extra == 2 && (code < 0x800 || (code >= 0xD800 && code < 0xE000))) return false;
    if (extra == 3 && (code < 0x10000 || code > 0x10FFFF)) return false;
    i += size_t(extra) + 1;
  }
  return true;
}

}  // namespace reasonrec
