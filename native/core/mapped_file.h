// A regular file mapped read-only. Nothing is copied; pages are read when they are looked at.
#pragma once
#include <cstddef>
#include <string>

namespace reasonrec {

class MappedFile {
 public:
  // Throws RR_FILE_NOT_FOUND where the file cannot be opened, and `code` with a reason for anything
  // but a regular file of at least `least` bytes.
  MappedFile(const std::string& path, size_t least, const char* code);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const char* bytes() const { return static_cast<const char*>(map_); }
  size_t size() const { return size_; }

 private:
  void* map_ = nullptr;
  size_t size_ = 0;
};

// Gives the memory of a mapping's pages back: they have been used and can be read again.
void release_pages(const void* begin, size_t bytes);

// A name from a file as it may appear in a one-line message.
std::string printable(const std::string& text);
bool valid_utf8(const char* text, size_t size);

}  // namespace reasonrec
