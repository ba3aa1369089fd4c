// See pages.h.
#include "core/pages.h"

#include <sys/mman.h>

namespace reasonrec {

void* map_pages(size_t bytes) {
  void* const begin =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return begin == MAP_FAILED ? nullptr : begin;
}

void unmap_pages(void* begin, size_t bytes) { munmap(begin, bytes); }

}  // namespace reasonrec
