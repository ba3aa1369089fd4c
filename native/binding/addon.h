// What the addon keeps per environment (main thread, each worker thread): its engine thread and the
// constructors of its classes. There are no globals, so an environment may come and go at any time.
#pragma once
#include <napi.h>

#include "binding/worker.h"

namespace reasonrec::binding {

struct AddonData {
  explicit AddonData(Napi::Env env) : worker(env) {}
  Worker worker;
  Napi::FunctionReference model, adapter, trie, trainer, graph, sasrec, session;
};

inline AddonData& data(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
inline Worker& worker(Napi::Env env) { return data(env).worker; }

// Marks an object of ours, so that nothing else is ever taken for one.
inline constexpr napi_type_tag kModelTag{0x9d1f6f1c2b7a4e01, 0xa1c4be52d6f83701};
inline constexpr napi_type_tag kAdapterTag{0x9d1f6f1c2b7a4e02, 0xa1c4be52d6f83702};
inline constexpr napi_type_tag kTrieTag{0x9d1f6f1c2b7a4e03, 0xa1c4be52d6f83703};
inline constexpr napi_type_tag kTrainerTag{0x9d1f6f1c2b7a4e04, 0xa1c4be52d6f83704};
inline constexpr napi_type_tag kGraphTag{0x9d1f6f1c2b7a4e05, 0xa1c4be52d6f83705};
inline constexpr napi_type_tag kSasrecTag{0x9d1f6f1c2b7a4e06, 0xa1c4be52d6f83706};
inline constexpr napi_type_tag kSessionTag{0x9d1f6f1c2b7a4e07, 0xa1c4be52d6f83707};

// A JS object of class `constructor` round a handle.
template <class Handle>
Napi::Object wrap(const Napi::FunctionReference& constructor, Napi::Env env,
                  std::shared_ptr<Handle> handle) {
  return constructor.New({Napi::External<std::shared_ptr<Handle>>::New(env, &handle)});
}

// The handle given to a constructor by wrap(); JS itself cannot make an External.
template <class Handle>
std::shared_ptr<Handle> given_handle(const Napi::CallbackInfo& info) {
  if (info.Length() != 1 || !info[0].IsExternal())
    throw Napi::TypeError::New(info.Env(),
                               "objects of this class are made by the addon's functions");
  return *info[0].As<Napi::External<std::shared_ptr<Handle>>>().Data();
}

}  // namespace reasonrec::binding
