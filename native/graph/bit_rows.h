// Sets of items as bits, 64 to a word: what two rows have in common by AND and population count.
// Bit i of word w is item 64 w + i.
#pragma once
#include <cstdint>

namespace reasonrec {

// An item of both rows, and how many items of `b` come before it.
struct CommonItem {
  int32_t item;
  int32_t place;
};

int32_t count_common(const uint64_t* a, const uint64_t* b, int64_t words);
// The n-th common item, n from 0 and below count_common.
CommonItem nth_common(const uint64_t* a, const uint64_t* b, int64_t words, int64_t n);
// All of them, ascending; `out` has room for count_common. Returns how many there are.
int32_t list_common(CommonItem* out, const uint64_t* a, const uint64_t* b, int64_t words);

}  // namespace reasonrec
