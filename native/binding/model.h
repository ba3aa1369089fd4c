// The objects that JS holds: model, adapter, trie. Each wraps a shared handle, so that a job keeps
// what it works on alive whatever JS lets go of.
#pragma once
#include <napi.h>

#include <memory>

#include "binding/worker.h"
#include "decode/allowed_tokens.h"
#include "model/lora.h"
#include "model/weights.h"

namespace reasonrec::binding {

struct ModelHandle {
  std::unique_ptr<Model> model;
  std::shared_ptr<Use> use = std::make_shared<Use>();
  bool stale = false;  // values changed since they were packed; the next job packs them
  void freshen(const Context&);
};

struct AdapterHandle {
  std::unique_ptr<Adapter> adapter;
  ModelConfig config;  // of the model it was made for
  std::shared_ptr<Use> use = std::make_shared<Use>();
  bool stale = true;
  void freshen(const Context&);
};

// The adapters of a forward, as handles.
struct AdapterHandles {
  std::shared_ptr<AdapterHandle> frozen, trained;
  AdapterStack stack(const Context&) const;  // packed; on the engine thread
  void read(std::vector<std::shared_ptr<Use>>&) const;
};

class ModelWrap : public Napi::ObjectWrap<ModelWrap> {
 public:
  static Napi::Function define(Napi::Env);
  explicit ModelWrap(const Napi::CallbackInfo&);
  std::shared_ptr<ModelHandle> handle;

 private:
  Napi::Value vocab(const Napi::CallbackInfo&);
  Napi::Value dtype(const Napi::CallbackInfo&);
  Napi::Value bytes(const Napi::CallbackInfo&);
  Napi::Value parameters(const Napi::CallbackInfo&);
  Napi::Value save(const Napi::CallbackInfo&);
};

class AdapterWrap : public Napi::ObjectWrap<AdapterWrap> {
 public:
  static Napi::Function define(Napi::Env);
  explicit AdapterWrap(const Napi::CallbackInfo&);
  std::shared_ptr<AdapterHandle> handle;

 private:
  Napi::Value config(const Napi::CallbackInfo&);
  Napi::Value layout(const Napi::CallbackInfo&);
  Napi::Value values(const Napi::CallbackInfo&);
  Napi::Value set_values(const Napi::CallbackInfo&);
  Napi::Value save(const Napi::CallbackInfo&);
};

class TrieWrap : public Napi::ObjectWrap<TrieWrap> {
 public:
  static Napi::Function define(Napi::Env);
  explicit TrieWrap(const Napi::CallbackInfo&);
  std::shared_ptr<const Trie> handle;
};

// The handle behind a JS value; RR_BAD_ARGUMENT for anything else.
std::shared_ptr<ModelHandle> model_handle(const Napi::Value&);
std::shared_ptr<AdapterHandle> adapter_handle(const Napi::Value&);  // null for null
std::shared_ptr<const Trie> trie_handle(const Napi::Value&);        // null for null
AdapterHandles adapter_handles(const Napi::Value&, const ModelHandle&);
// Throws RR_ADAPTER_MISMATCH for an adapter that was made for a model of other shapes.
void require_fit(const AdapterHandle*, const ModelHandle&);

// Calls of the export list.
Napi::Value load_model(const Napi::CallbackInfo&);
Napi::Value random_model(const Napi::CallbackInfo&);
Napi::Value create_adapter(const Napi::CallbackInfo&);
Napi::Value load_adapter(const Napi::CallbackInfo&);
Napi::Value clone_adapter(const Napi::CallbackInfo&);
Napi::Value concatenate_adapters(const Napi::CallbackInfo&);
Napi::Value create_trie(const Napi::CallbackInfo&);
Napi::Value inspect_safetensors(const Napi::CallbackInfo&);
Napi::Value inspect_gguf(const Napi::CallbackInfo&);

}  // namespace reasonrec::binding
