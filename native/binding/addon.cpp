// The export list of reasonrec.node; src/engine/native.ts is its typed contract.
#include "binding/addon.h"

#include "backend/cuda/library.h"
#include "binding/convert.h"
#include "binding/decoder.h"
#include "binding/graph.h"
#include "binding/kernel_bench.h"
#include "binding/model.h"
#include "binding/sasrec.h"
#include "binding/session.h"
#include "binding/trainer.h"

namespace reasonrec::binding {
namespace {

constexpr const char* kVersion = "0.1.0";  // of package.json; a test compares them

Napi::Value info_of_engine(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    Napi::Env env = info.Env();
    Napi::Object out = Napi::Object::New(env);
    out.Set("version", kVersion);
    out.Set("isa", select_cpu_kernels().name);
    out.Set("panel", select_cpu_kernels().panel);
    Napi::Array isas = Napi::Array::New(env);
    for (const Kernels* kernels : cpu_kernels()) isas.Set(isas.Length(), kernels->name);
    out.Set("isas", isas);
    out.Set("threads", worker(env).threads());
    return Napi::Value(out);
  });
}

// Opens the CUDA library, which may wake a driver: only when asked for.
Napi::Value info_of_cuda(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const cuda::Library& library = cuda::library();
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("build", library.table ? library.table->build : "");
    out.Set("path", library.path);
    out.Set("devices", library.devices);
    out.Set("device", library.device.name);
    out.Set("memory", double(library.device.memory));
    out.Set("reason", library.reason);
    return Napi::Value(out);
  });
}

Napi::Value set_threads(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    return worker(info.Env()).set_threads(info.Env(), int(integer(info[0], "threads")));
  });
}

Napi::Object start(Napi::Env env, Napi::Object exports) {
  auto* addon = new AddonData(env);
  env.SetInstanceData(addon);
  addon->model = Napi::Persistent(ModelWrap::define(env));
  addon->adapter = Napi::Persistent(AdapterWrap::define(env));
  addon->trie = Napi::Persistent(TrieWrap::define(env));
  addon->trainer = Napi::Persistent(TrainerWrap::define(env));
  addon->graph = Napi::Persistent(GraphWrap::define(env));
  addon->sasrec = Napi::Persistent(SasrecWrap::define(env));
  addon->session = Napi::Persistent(SessionWrap::define(env));

  const auto add = [&](const char* name, Napi::Value (*call)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, call, name));
  };
  add("info", info_of_engine);
  add("cudaInfo", info_of_cuda);
  add("setThreads", set_threads);
  add("loadModel", load_model);
  add("randomModel", random_model);
  add("createAdapter", create_adapter);
  add("loadAdapter", load_adapter);
  add("cloneAdapter", clone_adapter);
  add("concatenateAdapters", concatenate_adapters);
  add("createTrie", create_trie);
  add("generate", generate_samples);
  add("openSession", open_session);
  add("sequenceLogprobs", score_sequences);
  add("samplingDistribution", sampling_distribution);
  add("createTrainer", create_trainer);
  add("advantages", group_advantages);
  add("tokenAdvantages", advantages_of_tokens);
  add("aggregationWeights", weights_of_aggregation);
  add("policyLoss", policy_loss_over);
  add("selectTokens", selected_tokens);
  add("philox", philox_uniforms);
  add("inspectSafetensors", inspect_safetensors);
  add("createGraph", create_graph);
  add("sampleChains", sample_chains_of);
  add("sampleChainsNow", sample_chains_now);
  add("chainCandidates", chain_candidates_of);
  add("inspectGguf", inspect_gguf);
  add("createSasrec", create_sasrec);
  add("runKernel", run_kernel);
  add("machineCeilings", machine_ceilings);
  return exports;
}

}  // namespace

NODE_API_MODULE(reasonrec, start)

}  // namespace reasonrec::binding
