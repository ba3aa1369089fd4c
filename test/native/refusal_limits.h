// What a refusal of a malformed file may cost: 50 ms, and no single allocation of more than twice
// the file (or 64 KiB, which covers messages and containers of the smallest files).
// refusal_limits.cpp replaces the global operator new to see allocations.
#pragma once
#include <chrono>
#include <cstddef>
#include <string>

#include "core/check.h"
#include "harness.h"

namespace reasonrec::test {

// Largest allocation by this thread since the last call, in bytes.
size_t largest_allocation();

// Runs open() on a file of `bytes` bytes; it has to throw Error with this code and these words in
// one short line, within the limits.
template <class Open>
void expect_refusal(const std::string& name, size_t bytes, const std::string& code,
                    const std::string& words, Open open) {
  largest_allocation();
  const auto begin = std::chrono::steady_clock::now();
  try {
    open();
  } catch (const Error& error) {
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    const size_t largest = largest_allocation();
    const std::string text = error.what();
    const std::string line = text + "; " + error.got;
    expect(error.code == code, name + ": code " + error.code + " (" + text + ")");
    expect(line.find(words) != std::string::npos,
           name + ": says '" + line + "', not '" + words + "'");
    expect(line.find('\n') == std::string::npos && line.size() < 400,
           name + ": not one short line");
    expect(took.count() <= 50, name + ": took " + std::to_string(took.count()) + " ms");
    expect(largest <= std::max<size_t>(2 * bytes, 65536),
           name + ": allocated " + std::to_string(largest) + " bytes at once");
    return;
  }
  throw Failure{name + ": accepted"};
}

}  // namespace reasonrec::test
