// The cases of times.h run through on tiny shapes: what they measure is nothing here.
#include "times.h"

#include <set>
#include <vector>

#include "harness.h"

namespace reasonrec::test {

RR_TEST("cuda times: every case runs, under a name of its own") {
  std::set<std::string> names;
  int lines = 0;
  time_kernels(tiny_shape(), 1, {4.3e12, 790e12}, [&](const std::string& line) {
    expect(line.starts_with("{\"kernel\": \"") && line.ends_with("}"), line);
    names.insert(line.substr(0, line.find("\", \"median")));
    ++lines;
  });
  expect(lines == 15 && names.size() == 15, std::to_string(lines) + " cases");
}

}  // namespace reasonrec::test
