// Times on a device: reasonrec_cuda_tests --only "times on this device", one JSON line a kernel at
// the shapes of Qwen2.5-0.5B. REASONREC_CUDA_CEILINGS="BYTES_PER_SECOND FLOPS_PER_SECOND": measured
// there; without it the ones of docs/cuda-notes.md stand in, and the shares are only a first guess.
#include <cstdio>
#include <cstdlib>

#include "device.h"
#include "times.h"

namespace reasonrec::test {

RR_TEST("cuda times on this device") {
  const cuda::Table& table = device_table();  // skips where there is none
  cuda::DeviceInfo info{};
  call(table.device_info(0, &info));
  std::printf("{\"device\": \"%s\", \"build\": \"%s\"}\n", info.name, table.build);
  Ceilings ceilings{4.3e12, 790e12};
  if (const char* given = std::getenv("REASONREC_CUDA_CEILINGS"))
    expect(
        std::sscanf(given, "%lf %lf", &ceilings.bytes_per_second, &ceilings.flops_per_second) == 2,
        "REASONREC_CUDA_CEILINGS is not two numbers");
  time_kernels(qwen25_05b(), 20, ceilings, [](const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  });
}

}  // namespace reasonrec::test
