// Times of the kernels at a model's shapes, one JSON line a case: median of repetitions, the FLOPs
// and bytes of docs/cuda-notes.md, and the share of the floor they set. Random data throughout.
// On a GPU: gpu/device_times.cpp. Under the emulator the cases are only rehearsed, on tiny shapes.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace reasonrec::test {

struct TimedShape {
  int64_t rows, hidden, intermediate, vocab;
  int heads, kv_heads, head_dim;
  int64_t sequence;  // rows of one text: attention
  int64_t few_rows;  // of a decoding step
};
TimedShape qwen25_05b();
TimedShape tiny_shape();

struct Ceilings {
  double bytes_per_second, flops_per_second;
};

// Calls line(text) for every case. repetitions: timed launches, after three that are not.
void time_kernels(const TimedShape&, int repetitions, const Ceilings&,
                  const std::function<void(const std::string&)>& line);

}  // namespace reasonrec::test
