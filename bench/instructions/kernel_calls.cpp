// One call of each kernel of an instruction set, for callgrind: prints a name per call, in order,
// and makes each call through measured_call(), where counting is switched on. Arrays are fixed, so
// that counts depend on the code and the compiler alone.
//
//   reasonrec_kernel_calls --compiler    the compiler these counts belong to
//   reasonrec_kernel_calls ISA           scalar, avx2
#include <cstdio>
#include <cstring>

#include "binding/kernel_calls.h"
#include "core/check.h"

using namespace reasonrec;

extern "C" __attribute__((noinline)) void measured_call(const std::function<void()>& run) {
  run();
  __asm__ volatile("" ::: "memory");  // no tail call: callgrind wants the return
}

namespace {

enum class Form { kPlain, kWidened, kRounded };

struct Case {
  const char* name;
  const char* kernel;
  Form form;
  std::map<std::string, int64_t> sizes;
  std::vector<int64_t> inputs;  // lengths
  int ids = -1;                 // the input that holds ids below v
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto gemm = [&](const char* name, Form form, int64_t m) {
    all.push_back({name, "gemm", form, {{"m", m}, {"n", 100}, {"k", 200}}, {m * 200, 100 * 200}});
  };
  gemm("gemm, 1 row", Form::kPlain, 1);
  gemm("gemm, 8 rows", Form::kPlain, 8);
  gemm("gemm, 48 rows", Form::kPlain, 48);
  gemm("gemm, 1 row, bf16 weights", Form::kWidened, 1);
  gemm("gemm, 48 rows, bf16 weights", Form::kWidened, 48);
  gemm("gemm, 1 row, bf16 products", Form::kRounded, 1);
  gemm("gemm, 48 rows, bf16 products", Form::kRounded, 48);
  const int64_t t = 8, h = 200, n = t * h;
  all.push_back({"rmsnorm", "rmsnorm", Form::kPlain, {{"t", t}, {"h", h}}, {n, h}});
  all.push_back(
      {"rmsnorm_backward", "rmsnorm_backward", Form::kPlain, {{"t", t}, {"h", h}}, {n, n, h}});
  all.push_back({"layernorm", "layernorm", Form::kPlain, {{"t", t}, {"h", h}}, {n, h, h}});
  all.push_back({"rope", "rope", Form::kPlain, {{"t", t}, {"heads", 4}, {"d", 64}}, {t * 4 * 64}});
  all.push_back({"swiglu", "swiglu", Form::kPlain, {{"t", t}, {"h", h}}, {n, n}});
  all.push_back(
      {"swiglu_backward", "swiglu_backward", Form::kPlain, {{"t", t}, {"h", h}}, {n, n, n}});
  const std::map<std::string, int64_t> tree = {{"prompt", 40}, {"group", 4},   {"rows", 5},
                                               {"heads", 4},   {"kvHeads", 2}, {"d", 32}};
  const int64_t q = 60 * 4 * 32, k = 60 * 2 * 32;
  all.push_back({"attention", "attention", Form::kPlain, tree, {q, k, k}});
  all.push_back({"attention_backward", "attention_backward", Form::kPlain, tree, {q, k, k, q}});
  const std::map<std::string, int64_t> head = {{"t", 5}, {"h", 64}, {"v", 700}};
  for (const Form form : {Form::kPlain, Form::kRounded}) {
    const bool plain = form == Form::kPlain;
    all.push_back(
        {plain ? "head" : "head, bf16 products", "head", form, head, {5 * 64, 700 * 64, 5}, 2});
    all.push_back({plain ? "head_backward" : "head_backward, bf16 products",
                   "head_backward",
                   form,
                   head,
                   {5 * 64, 700 * 64, 5, 5},
                   2});
  }
  all.push_back({"sum_of_squares", "sum_of_squares", Form::kPlain, {{"t", t}, {"h", h}}, {n}});
  all.push_back({"adamw", "adamw", Form::kPlain, {{"t", t}, {"h", h}}, {n, n}});
  return all;
}

void call(const Context& context, const Case& c) {
  KernelCall call;
  call.kernel = c.kernel;
  call.storage = c.form == Form::kPlain ? WeightType::kF32 : WeightType::kBF16;
  call.compute = c.form == Form::kRounded ? Compute::kBF16 : Compute::kF32;
  call.sizes = c.sizes;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    std::vector<float> values;
    for (int64_t j = 0; j < c.inputs[i]; ++j)
      values.push_back(int(i) == c.ids ? float((j * 7919 + 13) % c.sizes.at("v"))
                                       : float((j * 7919 + 13) % 2003) / 1001.5f - 1);
    call.inputs.push_back(std::move(values));
  }
  const std::function<void()> run = prepare_kernel(context, call);
  run();  // scratch memory grows before it is counted
  std::printf("%s\n", c.name);
  measured_call(run);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--compiler") == 0) {
#if defined(__clang__)
    std::printf("clang++ %d\n", __clang_major__);
#else
    std::printf("g++ %d\n", __GNUC__);
#endif
    return 0;
  }
  for (const Kernels* kernels : cpu_kernels())
    if (argc == 2 && std::strcmp(argv[1], kernels->name) == 0) {
      Workspace workspace;
      const Context context{kernels, nullptr, &workspace, nullptr};
      for (const Case& c : cases()) call(context, c);
      return 0;
    }
  std::fprintf(stderr, "usage: %s --compiler | ISA this machine can run\n", argv[0]);
  return 2;
}
