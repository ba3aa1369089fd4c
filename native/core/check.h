// Errors of the native core. One shape in both languages: code, what, expected, got, remedy.
// Nothing in native/ aborts, exits or asserts on input: it throws Error, which the binding turns
// into a JS ReasonrecError with the same code.
#pragma once
#include <stdexcept>
#include <string>

namespace reasonrec {

struct Error : std::runtime_error {
  std::string code;      // "RR_SHAPE_MISMATCH"
  std::string expected;  // may be empty
  std::string got;       // may be empty
  std::string remedy;    // may be empty
  Error(std::string code, const std::string& what, std::string expected = "", std::string got = "",
        std::string remedy = "")
      : std::runtime_error(what),
        code(std::move(code)),
        expected(std::move(expected)),
        got(std::move(got)),
        remedy(std::move(remedy)) {}
};

// Thrown by long jobs when the caller asked to stop; not a failure.
struct Cancelled : Error {
  Cancelled() : Error("RR_CANCELLED", "the job was cancelled") {}
};

// texts: what, expected, got, remedy. Taken as they are, so that a check that passes makes no
// strings of literals: some stand in the steady state of a step, which allocates nothing.
template <class... Texts>
inline void check(bool ok, const char* code, const Texts&... texts) {
  if (!ok) throw Error(code, texts...);
}

}  // namespace reasonrec
