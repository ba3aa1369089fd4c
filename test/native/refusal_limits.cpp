// See refusal_limits.h. The replaced operators are those of the whole test program.
#include "refusal_limits.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {
thread_local size_t largest = 0;
}

void* operator new(size_t bytes) {
  largest = std::max(largest, bytes);
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new[](size_t bytes) { return operator new(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace reasonrec::test {

size_t largest_allocation() {
  const size_t found = largest;
  largest = 0;
  return found;
}

}  // namespace reasonrec::test
