// What a long native job shares with its caller: a stop flag to poll and a progress count to raise.
// The words live in a SharedArrayBuffer that TypeScript reads and writes while the job runs.
#pragma once
#include <atomic>
#include <cstdint>

#include "core/check.h"

namespace reasonrec {

struct Job {
  // words[0] != 0: stop. words[1]: units done. words[2]: units in all (0: unknown). words[3]:
  // tokens done.
  std::atomic<int32_t>* words = nullptr;  // null: nobody watches

  void poll() const {
    if (words && words[0].load(std::memory_order_relaxed) != 0) throw Cancelled();
  }
  void total(int32_t units) const {
    if (words) words[2].store(units, std::memory_order_relaxed);
  }
  void advance(int32_t units, int32_t tokens = 0) const {
    if (!words) return;
    words[1].fetch_add(units, std::memory_order_relaxed);
    words[3].fetch_add(tokens, std::memory_order_relaxed);
  }
};

}  // namespace reasonrec
