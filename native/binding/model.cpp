// Models, adapters and tries as JS objects; see model.h.
#include "binding/model.h"

#include <cstring>
#include <map>

#include "binding/addon.h"
#include "binding/convert.h"
#include "core/gguf.h"
#include "core/safetensors.h"

namespace reasonrec::binding {
namespace {

template <class Wrap>
Wrap& unwrapped(const Napi::Value& value, const napi_type_tag& tag, const char* what) {
  check(value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&tag), "RR_BAD_ARGUMENT",
        std::string("this is no ") + what, std::string("a ") + what + " of this addon",
        "something else");
  return *Wrap::Unwrap(value.As<Napi::Object>());
}

bool same_shapes(const ModelConfig& a, const ModelConfig& b) {
  return a.hidden == b.hidden && a.intermediate == b.intermediate && a.layers == b.layers &&
         a.heads == b.heads && a.kv_heads == b.kv_heads && a.head_dim == b.head_dim;
}

std::string shapes(const ModelConfig& c) {
  return std::to_string(c.layers) + " layers of width " + std::to_string(c.hidden) + "/" +
         std::to_string(c.intermediate) + ", heads " + std::to_string(c.heads) + "/" +
         std::to_string(c.kv_heads) + " x " + std::to_string(c.head_dim);
}

// Runs `make` as a job and wraps the adapter that it returns.
Napi::Value adapter_job(Napi::Env env, const ModelConfig& config,
                        std::vector<std::shared_ptr<Use>> reads,
                        std::function<std::unique_ptr<Adapter>()> make) {
  auto handle = std::make_shared<AdapterHandle>();
  handle->config = config;
  Task task;
  task.reads = std::move(reads);
  task.work = [handle, make = std::move(make)](const Context& context, const reasonrec::Job&) {
    handle->adapter = make();
    handle->freshen(context);
  };
  task.result = [handle](Napi::Env e) { return wrap(data(e).adapter, e, handle); };
  return worker(env).run(env, env.Undefined(), std::move(task));
}

Napi::Value model_job(
    Napi::Env env, const Napi::Value& control,
    std::function<std::unique_ptr<Model>(const Context&, const reasonrec::Job&)> make) {
  auto handle = std::make_shared<ModelHandle>();
  Task task;
  task.work = [handle, make = std::move(make)](const Context& context,
                                               const reasonrec::Job& control_words) {
    handle->model = make(context, control_words);
  };
  task.result = [handle](Napi::Env e) { return wrap(data(e).model, e, handle); };
  return worker(env).run(env, control, std::move(task));
}

WeightType weight_type(const Napi::Value& value) {
  const std::string name = text(value, "dtype");
  check(name == "auto" || name == "fp32" || name == "bf16", "RR_BAD_ARGUMENT",
        "this is no storage type of weights", "auto, fp32 or bf16", name);
  return name == "auto" ? WeightType::kAuto : name == "bf16" ? WeightType::kBF16 : WeightType::kF32;
}

// Names, types and shapes of a file's tensors.
Napi::Value tensor_list(Napi::Env env, const std::map<std::string, TensorView>& tensors) {
  Napi::Array out = Napi::Array::New(env, tensors.size());
  uint32_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", name);
    entry.Set("dtype", facts(tensor.dtype).name);
    Napi::Array shape = Napi::Array::New(env, tensor.shape.size());
    for (size_t i = 0; i < tensor.shape.size(); ++i)
      shape.Set(uint32_t(i), double(tensor.shape[i]));
    entry.Set("shape", shape);
    out.Set(at++, entry);
  }
  return out;
}

// A text, a number, a bool; an array of texts; a Float64Array of an array of numbers.
Napi::Value metadata_value(Napi::Env env, const GgufValue& value) {
  if (value.type == GgufType::kString) {
    const std::vector<std::string> texts = value.texts();
    if (!value.is_array) return Napi::String::New(env, texts.at(0));
    Napi::Array out = Napi::Array::New(env, texts.size());
    for (size_t i = 0; i < texts.size(); ++i) out.Set(uint32_t(i), texts[i]);
    return out;
  }
  if (!value.is_array && value.type == GgufType::kBool)
    return Napi::Boolean::New(env, value.number_at(0) != 0);
  if (!value.is_array) return Napi::Number::New(env, value.number_at(0));
  Napi::Float64Array out = Napi::Float64Array::New(env, value.count);
  for (uint64_t i = 0; i < value.count; ++i) out[i] = value.number_at(i);
  return out;
}

}  // namespace

void ModelHandle::freshen(const Context& context) {
  if (stale) model->refresh(context);
  stale = false;
}

void AdapterHandle::freshen(const Context& context) {
  if (stale) adapter->refresh(context);
  stale = false;
}

AdapterStack AdapterHandles::stack(const Context& context) const {
  if (frozen) frozen->freshen(context);
  if (trained) trained->freshen(context);
  return {frozen ? frozen->adapter.get() : nullptr, trained ? trained->adapter.get() : nullptr};
}

void AdapterHandles::read(std::vector<std::shared_ptr<Use>>& uses) const {
  if (frozen) uses.push_back(frozen->use);
  if (trained) uses.push_back(trained->use);
}

std::shared_ptr<ModelHandle> model_handle(const Napi::Value& value) {
  return unwrapped<ModelWrap>(value, kModelTag, "model").handle;
}
std::shared_ptr<AdapterHandle> adapter_handle(const Napi::Value& value) {
  return value.IsNull() ? nullptr : unwrapped<AdapterWrap>(value, kAdapterTag, "adapter").handle;
}
std::shared_ptr<const Trie> trie_handle(const Napi::Value& value) {
  return value.IsNull() ? nullptr : unwrapped<TrieWrap>(value, kTrieTag, "trie").handle;
}

void require_fit(const AdapterHandle* adapter, const ModelHandle& model) {
  if (!adapter || same_shapes(adapter->config, model.model->config())) return;
  throw Error("RR_ADAPTER_MISMATCH", "the adapter was made for another model",
              shapes(model.model->config()), shapes(adapter->config),
              "use the base model that the adapter was trained on");
}

AdapterHandles adapter_handles(const Napi::Value& value, const ModelHandle& model) {
  const Napi::Object in = object(value, "adapters");
  AdapterHandles out{adapter_handle(field(in, "frozen")), adapter_handle(field(in, "trained"))};
  require_fit(out.frozen.get(), model);
  require_fit(out.trained.get(), model);
  return out;
}

// ---- model --------------------------------------------------------------------------------------

Napi::Function ModelWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeModel",
      {InstanceAccessor<&ModelWrap::vocab>("vocab"), InstanceAccessor<&ModelWrap::dtype>("dtype"),
       InstanceAccessor<&ModelWrap::bytes>("bytes"),
       InstanceAccessor<&ModelWrap::parameters>("parameters"),
       InstanceMethod<&ModelWrap::save>("save")});
}

ModelWrap::ModelWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<ModelWrap>(info), handle(given_handle<ModelHandle>(info)) {
  info.This().As<Napi::Object>().TypeTag(&kModelTag);
}

Napi::Value ModelWrap::vocab(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), double(handle->model->config().vocab));
}

Napi::Value ModelWrap::dtype(const Napi::CallbackInfo& info) {
  const bool half = handle->model->type() == WeightType::kBF16;
  return Napi::String::New(info.Env(), half ? "bf16" : "fp32");
}

Napi::Value ModelWrap::bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), double(handle->model->bytes()));
}

Napi::Value ModelWrap::parameters(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), double(handle->model->layout().total));
}

Napi::Value ModelWrap::save(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    Task task;
    task.reads = {handle->use};
    task.work = [model = handle, file = text(info[0], "file")](
                    const Context& c, const reasonrec::Job&) { model->model->save(c, file); };
    return worker(info.Env()).run(info.Env(), info.Env().Undefined(), std::move(task));
  });
}

Napi::Value load_model(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const Napi::Array names = array(info[1], "files");
    std::vector<std::string> files;
    for (uint32_t i = 0; i < names.Length(); ++i)
      files.push_back(text(names.Get(i), "a file name"));
    const WeightType type = weight_type(info[2]);
    return model_job(
        info.Env(), info[3],
        [config = model_config(info[0]), files, type](const Context& c, const auto& control) {
          return Model::load(c, config, files, type, control);
        });
  });
}

Napi::Value random_model(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const float deviation = float(number(info[2], "deviation"));
    return model_job(info.Env(), info.Env().Undefined(),
                     [config = model_config(info[0]), seed = word(info[1], "seed"), deviation,
                      type = weight_type(info[3])](const Context& c, const auto&) {
                       return Model::random(c, config, seed, deviation, type);
                     });
  });
}

// ---- adapter ------------------------------------------------------------------------------------

Napi::Function AdapterWrap::define(Napi::Env env) {
  return DefineClass(env, "NativeAdapter",
                     {InstanceAccessor<&AdapterWrap::config>("config"),
                      InstanceMethod<&AdapterWrap::layout>("layout"),
                      InstanceMethod<&AdapterWrap::values>("values"),
                      InstanceMethod<&AdapterWrap::set_values>("setValues"),
                      InstanceMethod<&AdapterWrap::save>("save")});
}

AdapterWrap::AdapterWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<AdapterWrap>(info), handle(given_handle<AdapterHandle>(info)) {
  info.This().As<Napi::Object>().TypeTag(&kAdapterTag);
}

Napi::Value AdapterWrap::config(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), handle->adapter->config());
}

Napi::Value AdapterWrap::layout(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), handle->adapter->layout());
}

Napi::Value AdapterWrap::values(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    handle->use->require_unwritten("the adapter");
    return float32s(info.Env(), handle->adapter->values(), handle->adapter->layout().total);
  });
}

Napi::Value AdapterWrap::set_values(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const std::vector<float> values = floats(info[0], "values");
    const int64_t total = handle->adapter->layout().total;
    check(int64_t(values.size()) == total, "RR_SHAPE_MISMATCH",
          "the adapter has another number of values", std::to_string(total),
          std::to_string(values.size()));
    handle->use->require_unused("the adapter");
    std::memcpy(handle->adapter->values(), values.data(), values.size() * sizeof(float));
    handle->stale = true;
    return info.Env().Undefined();
  });
}

Napi::Value AdapterWrap::save(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    std::map<std::string, std::string> metadata;
    const Napi::Object given = object(info[1], "metadata");
    const Napi::Array names = given.GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); ++i) {
      const std::string name = text(names.Get(i), "a metadata name");
      metadata[name] = text(given.Get(name), name);
    }
    Task task;
    task.reads = {handle->use};
    task.work = [adapter = handle, file = text(info[0], "file"), metadata](const Context&,
                                                                           const reasonrec::Job&) {
      save_adapter(*adapter->adapter, file, metadata);
    };
    return worker(info.Env()).run(info.Env(), info.Env().Undefined(), std::move(task));
  });
}

Napi::Value create_adapter(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const ModelConfig config = model_handle(info[0])->model->config();
    return adapter_job(info.Env(), config, {},
                       [config, lora = lora_config(info[1]), seed = word(info[2], "seed")] {
                         auto adapter = std::make_unique<Adapter>(config, lora);
                         adapter->initialise(seed);
                         return adapter;
                       });
  });
}

Napi::Value load_adapter(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const ModelConfig config = model_handle(info[0])->model->config();
    return adapter_job(info.Env(), config, {},
                       [config, lora = lora_config(info[1]), file = text(info[2], "file")] {
                         return reasonrec::load_adapter(config, lora, file);
                       });
  });
}

Napi::Value clone_adapter(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const auto source = unwrapped<AdapterWrap>(info[0], kAdapterTag, "adapter").handle;
    return adapter_job(info.Env(), source->config, {source->use},
                       [source] { return source->adapter->clone(); });
  });
}

Napi::Value concatenate_adapters(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const auto model = model_handle(info[0]);
    const auto first = unwrapped<AdapterWrap>(info[1], kAdapterTag, "adapter").handle;
    const auto second = unwrapped<AdapterWrap>(info[2], kAdapterTag, "adapter").handle;
    require_fit(first.get(), *model);
    require_fit(second.get(), *model);
    return adapter_job(
        info.Env(), model->model->config(), {first->use, second->use}, [model, first, second] {
          return Adapter::concatenate(model->model->config(), *first->adapter, *second->adapter);
        });
  });
}

// ---- trie, files --------------------------------------------------------------------------------

Napi::Function TrieWrap::define(Napi::Env env) { return DefineClass(env, "NativeTrie", {}); }

TrieWrap::TrieWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<TrieWrap>(info), handle(given_handle<const Trie>(info)) {
  info.This().As<Napi::Object>().TypeTag(&kTrieTag);
}

Napi::Value create_trie(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const auto given = sequences(info[0], "sequences");
    auto trie = std::make_shared<const Trie>(given);
    Napi::Object out = wrap(data(info.Env()).trie, info.Env(), std::move(trie));
    out.DefineProperty(Napi::PropertyDescriptor::Value(
        "sequences", Napi::Number::New(info.Env(), double(given.size())), napi_enumerable));
    return Napi::Value(out);
  });
}

Napi::Value inspect_safetensors(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const SafetensorsFile file(text(info[0], "file"));
    return tensor_list(info.Env(), file.tensors());
  });
}

Napi::Value inspect_gguf(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const GgufFile file(text(info[0], "file"));
    const bool lists = boolean(info[1], "lists");
    Napi::Object metadata = Napi::Object::New(info.Env());
    for (const auto& [name, value] : file.metadata())
      if (lists || !value.is_array)
        metadata.DefineProperty(Napi::PropertyDescriptor::Value(
            name, metadata_value(info.Env(), value), napi_enumerable));
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("metadata", metadata);
    out.Set("tensors", tensor_list(info.Env(), file.tensors()));
    return Napi::Value(out);
  });
}

}  // namespace reasonrec::binding
