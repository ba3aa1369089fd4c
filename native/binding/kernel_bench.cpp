#include "binding/kernel_bench.h"

#include <chrono>
#include <ctime>

#include "binding/addon.h"
#include "binding/convert.h"
#include "binding/kernel_calls.h"
#include "core/ceilings.h"

namespace reasonrec::binding {
namespace {

struct Timed {
  KernelCall call;
  const Kernels* kernels = nullptr;  // null: the fp64 reference
  int64_t repeats = 1;
  bool there = true;
  double seconds = 0, cpu_seconds = 0;  // of all repeats
};

const Kernels* kernels_named(const std::string& name) {
  if (name == "reference") return nullptr;
  std::string names = "reference";
  for (const Kernels* kernels : cpu_kernels()) {
    if (name == kernels->name) return kernels;
    names += std::string(", ") + kernels->name;
  }
  throw Error("RR_ISA_UNAVAILABLE", "the instruction set cannot be used on this machine",
              "one of: " + names, name);
}

std::shared_ptr<Timed> timed_call(const Napi::Value& value) {
  const Napi::Object in = object(value, "kernel call");
  auto out = std::make_shared<Timed>();
  out->kernels = kernels_named(text(in, "isa"));
  out->call.kernel = text(in, "kernel");
  out->call.storage = text(in, "storage") == "bf16" ? WeightType::kBF16 : WeightType::kF32;
  out->call.compute = compute(field(in, "compute"));
  out->repeats = integer(in, "repeats");
  const Napi::Object sizes = object(field(in, "sizes"), "sizes");
  const Napi::Array names = sizes.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).As<Napi::String>();
    out->call.sizes[name] = integer(sizes, name.c_str());
  }
  const Napi::Array inputs = array(field(in, "inputs"), "inputs");
  for (uint32_t i = 0; i < inputs.Length(); ++i)
    out->call.inputs.push_back(floats(inputs.Get(i), "input"));
  return out;
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

void execute(const Context& given, Timed& timed) {
  if (!timed.kernels) {
    timed.there = run_reference(timed.call);
    return;
  }
  const Context ctx{timed.kernels, given.pool, given.scratch, given.job};
  const std::function<void()> run = prepare_kernel(ctx, timed.call);
  const double cpu = processor_seconds();
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < timed.repeats; ++i) run();
  timed.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  timed.cpu_seconds = processor_seconds() - cpu;
}

}  // namespace

Napi::Value run_kernel(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const auto timed = timed_call(info[0]);
    Task task;
    task.work = [timed](const Context& context, const reasonrec::Job&) {
      execute(context, *timed);
    };
    task.result = [timed](Napi::Env env) -> Napi::Value {
      if (!timed->there) return env.Null();
      Napi::Object out = Napi::Object::New(env);
      out.Set("seconds", timed->seconds);
      out.Set("cpuSeconds", timed->cpu_seconds);
      out.Set("outputs", to_js(env, timed->call.outputs));
      return out;
    };
    return worker(info.Env()).run(info.Env(), info[1], std::move(task));
  });
}

Napi::Value machine_ceilings(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const double seconds = number(info[0], "seconds");
    const int64_t bytes = integer(info[1], "bytes");
    const auto found = std::make_shared<Ceilings>();
    Task task;
    task.work = [=](const Context& context, const reasonrec::Job&) {
      *found = measure_ceilings(*context.pool, seconds, bytes);
    };
    task.result = [found](Napi::Env env) -> Napi::Value {
      Napi::Object out = Napi::Object::New(env);
      out.Set("read", found->read);
      out.Set("fp32", found->fp32);
      out.Set("bf16", found->bf16);
      out.Set("int8", found->int8);
      return out;
    };
    return worker(info.Env()).run(info.Env(), info[2], std::move(task));
  });
}

}  // namespace reasonrec::binding
