// How often this program has called operator new, all threads together; refusal_limits.cpp counts.
#pragma once
#include <cstdint>

namespace reasonrec::test {

int64_t allocations();

}  // namespace reasonrec::test
