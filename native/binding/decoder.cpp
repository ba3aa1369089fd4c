// Decoding and scoring calls: parse, run as a job, convert; see decode/engine.h for what they
// compute.
#include "binding/decoder.h"

#include "binding/addon.h"
#include "binding/convert.h"
#include "binding/model.h"
#include "core/philox.h"

namespace reasonrec::binding {
namespace {

BeamRequest beam_request(const Napi::Value& value) {
  BeamRequest out;
  if (value.IsNull()) return out;
  const Napi::Object in = object(value, "beam");
  out.trie = trie_handle(field(in, "trie"));
  check(out.trie != nullptr, "RR_BAD_ARGUMENT", "a beam needs a trie", "a trie", "null");
  out.width = int(integer(in, "width"));
  out.renormalise = boolean(in, "renormalise");
  out.excluded = int32s(field(in, "excluded"), "excluded");
  return out;
}

}  // namespace

GroupRequest group_request(const Napi::Value& value) {
  const Napi::Object in = object(value, "group");
  GroupRequest out;
  out.prompt = int32s(field(in, "prompt"), "prompt");
  const Napi::Array samples = array(field(in, "samples"), "samples");
  for (uint32_t i = 0; i < samples.Length(); ++i) {
    const Napi::Object sample = object(samples.Get(i), "sample");
    out.samples.push_back(
        {word(field(sample, "stream"), "stream"), int32s(field(sample, "given"), "given")});
  }
  out.trie = trie_handle(field(in, "trie"));
  out.candidates = sequences(field(in, "candidates"), "candidates");
  if (in.Has("beam")) out.beam = beam_request(field(in, "beam"));
  if (in.Has("top")) out.top = int(integer(in, "top"));
  return out;
}

std::optional<VocabularyBytes> vocabulary_bytes(const Napi::Value& value) {
  if (value.IsNull()) return std::nullopt;
  const Napi::Object in = object(value, "vocabularyBytes");
  const std::vector<double> offsets = doubles(field(in, "offsets"), "offsets");
  const std::vector<uint8_t> raw = bytes(field(in, "bytes"), "bytes");
  VocabularyBytes out;
  out.bytes.assign(raw.begin(), raw.end());
  double last = 0;
  for (const double offset : offsets) {
    check(offset >= last && offset <= double(raw.size()), "RR_BAD_ARGUMENT",
          "vocabularyBytes.offsets are not usable", "ascending offsets into bytes",
          std::to_string(offset));
    out.offsets.push_back(int64_t(offset));
    last = offset;
  }
  return out;
}

Napi::Value generate_samples(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    struct Call {
      std::shared_ptr<ModelHandle> model;
      AdapterHandles adapters;
      std::vector<GroupRequest> groups;
      std::vector<ScriptStep> script;
      DecodeOptions options;
      std::optional<VocabularyBytes> vocabulary;
      std::vector<std::vector<SampleResult>> samples;
    };
    auto call = std::make_shared<Call>();
    call->model = model_handle(info[0]);
    call->adapters = adapter_handles(info[1], *call->model);
    const Napi::Array groups = array(info[2], "groups");
    for (uint32_t i = 0; i < groups.Length(); ++i)
      call->groups.push_back(group_request(groups.Get(i)));
    call->script = script(info[3]);
    const Napi::Object options = object(info[4], "options");
    call->options.seed = word(field(options, "seed"), "seed");
    call->options.max_rows = int(integer(options, "maxRows"));
    call->options.share_prefix = boolean(options, "sharePrefix");
    call->vocabulary = vocabulary_bytes(field(options, "vocabularyBytes"));
    check(call->options.max_rows >= 1, "RR_BAD_ARGUMENT", "maxRows is out of range", ">= 1",
          std::to_string(call->options.max_rows));

    Task task;
    task.reads = {call->model->use};
    call->adapters.read(task.reads);
    task.work = [call](const Context& context, const reasonrec::Job& control) {
      call->model->freshen(context);
      call->samples = generate(context, *call->model->model, call->adapters.stack(context),
                               call->groups, call->script, call->options,
                               call->vocabulary ? &*call->vocabulary : nullptr, control);
    };
    task.result = [call](Napi::Env env) -> Napi::Value {
      Napi::Array out = Napi::Array::New(env, call->samples.size());
      for (size_t g = 0; g < call->samples.size(); ++g) {
        Napi::HandleScope scope(env);
        Napi::Array group = Napi::Array::New(env, call->samples[g].size());
        for (size_t s = 0; s < call->samples[g].size(); ++s)
          group.Set(uint32_t(s), to_js(env, call->samples[g][s]));
        out.Set(uint32_t(g), group);
      }
      return out;
    };
    return worker(info.Env()).run(info.Env(), info[5], std::move(task));
  });
}

Napi::Value score_sequences(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    struct Call {
      std::shared_ptr<ModelHandle> model;
      AdapterHandles adapters;
      std::vector<std::vector<int32_t>> given;
      bool with_logits = false;
      std::vector<std::vector<float>> logprobs, entropies, logits;
    };
    auto call = std::make_shared<Call>();
    call->model = model_handle(info[0]);
    call->adapters = adapter_handles(info[1], *call->model);
    call->given = sequences(info[2], "sequences");
    call->with_logits = boolean(info[3], "logits");

    Task task;
    task.reads = {call->model->use};
    call->adapters.read(task.reads);
    task.work = [call](const Context& context, const reasonrec::Job& control) {
      call->model->freshen(context);
      call->logprobs = sequence_logprobs(
          context, *call->model->model, call->adapters.stack(context), call->given,
          &call->entropies, call->with_logits ? &call->logits : nullptr, control);
    };
    task.result = [call](Napi::Env env) -> Napi::Value {
      Napi::Object out = Napi::Object::New(env);
      out.Set("logprobs", to_js(env, call->logprobs));
      out.Set("entropies", to_js(env, call->entropies));
      out.Set("logits", call->with_logits ? to_js(env, call->logits) : env.Null());
      return out;
    };
    return worker(info.Env()).run(info.Env(), info[4], std::move(task));
  });
}

Napi::Value sampling_distribution(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    return to_js(info.Env(),
                 reasonrec::sampling_distribution(sampling(info[2]), floats(info[0], "logits"),
                                                  int32s(info[1], "context")));
  });
}

Napi::Value philox_uniforms(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const uint64_t seed = word(info[0], "seed"), stream = word(info[1], "stream"),
                   first = word(info[2], "first");
    const int64_t count = integer(info[3], "count");
    check(count >= 0 && count <= (1 << 24), "RR_BAD_ARGUMENT", "count is out of range", "0 to 2^24",
          std::to_string(count));
    std::vector<double> out(size_t(count), 0.0);
    for (size_t i = 0; i < out.size(); ++i) out[i] = philox_uniform(seed, stream, first + i);
    return to_js(info.Env(), out);
  });
}

}  // namespace reasonrec::binding
