// Memory of large arrays, straight from the system: zeroed pages that are there once they are
// touched and gone once they are freed, so that what a process takes is what it uses, whatever was
// allocated before. Smaller ones come and go with every step of a small model: from the heap they
// are the same pages again, which costs no faults. Huge pages are not asked for: decoding is no
// quicker with them, and a virtual machine that gives its free memory back pays more for each.
#pragma once
#include <cstddef>

namespace reasonrec {

constexpr size_t kMappedFrom = size_t(1) << 25;  // bytes; a smaller array comes from the heap

void* map_pages(size_t bytes);  // zeroed; null where the system has no more
void unmap_pages(void* begin, size_t bytes);

}  // namespace reasonrec
