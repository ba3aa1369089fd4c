// JS values <-> the core's types; see convert.h.
#include "binding/convert.h"

#include <cmath>
#include <cstring>
#include <new>

namespace reasonrec::binding {
namespace {

[[noreturn]] void refuse(const std::string& what, const char* expected) {
  throw Error("RR_BAD_ARGUMENT", what + " is not usable", expected, "something else");
}

template <class T>
std::vector<T> typed_array(const Napi::Value& value, napi_typedarray_type type,
                           const std::string& what, const char* expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    refuse(what, expected);
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return std::vector<T>(array.Data(), array.Data() + array.ElementLength());
}

template <class Array, class T>
Napi::Value fresh(Napi::Env env, const T* values, size_t n) {
  Array out = Array::New(env, n);
  if (n > 0) std::memcpy(out.Data(), values, n * sizeof(T));
  return out;
}

void set_if_any(Napi::Object target, const char* key, const std::string& value) {
  if (!value.empty()) target.Set(key, value);
}

RopeScaling rope_scaling(const Napi::Value& value) {
  const Napi::Object in = object(value, "ropeScaling");
  const std::string kind = text(in, "kind");
  RopeScaling out;
  if (kind == "none") return out;
  out.factor = number(in, "factor");
  out.kind = RopeScaling::Kind::kLinear;
  if (kind == "linear") return out;
  out.original_max_position = integer(in, "originalMaxPosition");
  if (kind == "yarn") {
    out.kind = RopeScaling::Kind::kYarn;
    out.beta_fast = number(in, "betaFast");
    out.beta_slow = number(in, "betaSlow");
    out.truncate = boolean(in, "truncate");
    out.attention_factor = number(in, "attentionFactor");
    return out;
  }
  if (kind != "llama3") refuse("ropeScaling.kind", "none, linear, llama3 or yarn");
  out.kind = RopeScaling::Kind::kLlama3;
  out.low_freq_factor = number(in, "lowFreqFactor");
  out.high_freq_factor = number(in, "highFreqFactor");
  return out;
}

ScriptStep script_step(const Napi::Value& value) {
  const Napi::Object in = object(value, "script step");
  const std::string kind = text(in, "kind");
  ScriptStep out;
  if (kind == "given") {
    out.kind = StepKind::kGiven;
    out.given = int32s(field(in, "ids"), "ids");
    out.given_if_unclosed = int32s(field(in, "idsIfUnclosed"), "idsIfUnclosed");
    return out;
  }
  out.sampling = sampling(field(in, "sampling"));
  out.kind = StepKind::kChoose;
  if (kind == "choose") return out;
  if (kind != "free") refuse("kind of a script step", "free, given or choose");
  out.kind = StepKind::kFree;
  out.max_new = int(integer(in, "maxNew"));
  out.stop_tokens = int32s(field(in, "stopTokens"), "stopTokens");
  out.stop_token_ends_sample = boolean(in, "stopTokenEndsSample");
  const Napi::Array strings = array(field(in, "stopStrings"), "stopStrings");
  for (uint32_t i = 0; i < strings.Length(); ++i)
    out.stop_strings.push_back(text(strings.Get(i), "a stop string"));
  return out;
}

}  // namespace

// ---- errors -------------------------------------------------------------------------------------

Napi::Error to_js(Napi::Env env, const Error& error) {
  Napi::Error out = Napi::Error::New(env, error.what());
  Napi::Object value = out.Value();
  value.Set("code", error.code);
  set_if_any(value, "expected", error.expected);
  set_if_any(value, "got", error.got);
  set_if_any(value, "remedy", error.remedy);
  return out;
}

Napi::Error current_error(Napi::Env env) {
  try {
    throw;
  } catch (const Napi::Error& error) {
    return error;
  } catch (const Error& error) {
    return to_js(env, error);
  } catch (const std::bad_alloc&) {
    return to_js(env, Error("RR_OUT_OF_MEMORY", "an allocation failed", "", "",
                            "lower the token budget or the number of live rows"));
  } catch (const std::length_error&) {
    return to_js(env, Error("RR_OUT_OF_MEMORY", "an allocation of impossible size was asked for"));
  } catch (const std::exception& error) {
    return to_js(env, Error("RR_INTERNAL", error.what(), "", "",
                            "this is a defect of reasonrec; please report it"));
  } catch (...) {
    return to_js(env, Error("RR_INTERNAL", "an unknown exception"));
  }
}

// ---- from JS ------------------------------------------------------------------------------------

Napi::Object object(const Napi::Value& value, const std::string& what) {
  if (!value.IsObject()) refuse(what, "an object");
  return value.As<Napi::Object>();
}

Napi::Array array(const Napi::Value& value, const std::string& what) {
  if (!value.IsArray()) refuse(what, "an array");
  return value.As<Napi::Array>();
}

Napi::Value field(const Napi::Object& in, const char* name) { return in.Get(name); }

double number(const Napi::Value& value, const std::string& what) {
  if (!value.IsNumber()) refuse(what, "a number");
  return value.As<Napi::Number>().DoubleValue();
}
double number(const Napi::Object& in, const char* name) { return number(in.Get(name), name); }

int64_t integer(const Napi::Value& value, const std::string& what) {
  const double x = number(value, what);
  if (!(std::fabs(x) <= 2147483647.0) || x != std::floor(x))
    refuse(what, "a whole number of 32 bits");
  return int64_t(x);
}
int64_t integer(const Napi::Object& in, const char* name) { return integer(in.Get(name), name); }

bool boolean(const Napi::Value& value, const std::string& what) {
  if (!value.IsBoolean()) refuse(what, "true or false");
  return value.As<Napi::Boolean>().Value();
}
bool boolean(const Napi::Object& in, const char* name) { return boolean(in.Get(name), name); }

std::string text(const Napi::Value& value, const std::string& what) {
  if (!value.IsString()) refuse(what, "a string");
  return value.As<Napi::String>().Utf8Value();
}
std::string text(const Napi::Object& in, const char* name) { return text(in.Get(name), name); }

uint64_t word(const Napi::Value& value, const std::string& what) {
  bool lossless = false;
  const uint64_t out = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) refuse(what, "a bigint in [0, 2^64)");
  return out;
}

std::vector<int32_t> int32s(const Napi::Value& value, const std::string& what) {
  return typed_array<int32_t>(value, napi_int32_array, what, "an Int32Array");
}
std::vector<uint8_t> bytes(const Napi::Value& value, const std::string& what) {
  return typed_array<uint8_t>(value, napi_uint8_array, what, "a Uint8Array");
}
std::vector<float> floats(const Napi::Value& value, const std::string& what) {
  return typed_array<float>(value, napi_float32_array, what, "a Float32Array");
}
std::vector<double> doubles(const Napi::Value& value, const std::string& what) {
  return typed_array<double>(value, napi_float64_array, what, "a Float64Array");
}

std::vector<std::vector<int32_t>> sequences(const Napi::Value& value, const std::string& what) {
  const Napi::Array in = array(value, what);
  std::vector<std::vector<int32_t>> out(in.Length());
  for (uint32_t i = 0; i < in.Length(); ++i) out[i] = int32s(in.Get(i), what);
  return out;
}

Compute compute(const Napi::Value& value) {
  if (value.IsUndefined()) return Compute::kF32;
  const std::string name = text(value, "compute");
  if (name != "fp32" && name != "bf16") refuse("compute", "fp32 or bf16");
  return name == "bf16" ? Compute::kBF16 : Compute::kF32;
}

ModelConfig model_config(const Napi::Value& value) {
  const Napi::Object in = object(value, "model configuration");
  ModelConfig out;
  out.family = text(in, "family");
  out.hidden = integer(in, "hidden");
  out.intermediate = integer(in, "intermediate");
  out.layers = integer(in, "layers");
  out.vocab = integer(in, "vocab");
  out.max_position = integer(in, "maxPosition");
  out.heads = int(integer(in, "heads"));
  out.kv_heads = int(integer(in, "kvHeads"));
  out.head_dim = int(integer(in, "headDim"));
  out.rms_eps = float(number(in, "rmsEps"));
  out.rope_theta = number(in, "ropeTheta");
  out.rope_scaling = rope_scaling(field(in, "ropeScaling"));
  out.tied_head = boolean(in, "tiedHead");
  out.qkv_bias = boolean(in, "qkvBias");
  out.o_bias = boolean(in, "oBias");
  out.mlp_bias = boolean(in, "mlpBias");
  out.qk_norm = boolean(in, "qkNorm");
  out.compute = compute(field(in, "compute"));
  const bool sizes = out.hidden > 0 && out.intermediate > 0 && out.layers > 0 && out.vocab > 0 &&
                     out.max_position > 0 && out.heads > 0 && out.kv_heads > 0 && out.head_dim > 0;
  if (!sizes || out.heads % out.kv_heads != 0 || out.head_dim % 2 != 0)
    refuse("model configuration", "positive sizes, whole groups of heads, an even head dimension");
  return out;
}

namespace {

Linear linear_named(const std::string& name) {
  for (int l = 0; l < kLinears; ++l)
    if (name == kLinearNames[l]) return Linear(l);
  throw Error("RR_BAD_LORA_CONFIG", "unknown linear of an adapter",
              "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj or down_proj", name);
}

}  // namespace

LoraConfig lora_config(const Napi::Value& value) {
  const Napi::Object in = object(value, "adapter configuration");
  LoraConfig out;
  out.rank = int(integer(in, "rank"));
  out.alpha = float(number(in, "alpha"));
  out.rslora = boolean(in, "rslora");
  out.dropout = float(number(in, "dropout"));
  const Napi::Array targets = array(field(in, "targets"), "targets");
  for (uint32_t i = 0; i < targets.Length(); ++i)
    out.targets[size_t(linear_named(text(targets.Get(i), "a target")))] = true;
  const Napi::Array modules = array(field(in, "modules"), "modules");
  for (uint32_t i = 0; i < modules.Length(); ++i) {
    const Napi::Object module = object(modules.Get(i), "a module");
    out.modules.push_back({integer(module, "layer"), linear_named(text(module, "linear")),
                           int(integer(module, "rank")), float(number(module, "alpha"))});
  }
  check(targets.Length() > 0 && out.rank >= 1 && std::isfinite(out.alpha) && out.dropout >= 0 &&
            out.dropout < 1,
        "RR_BAD_LORA_CONFIG", "the adapter configuration is not usable",
        "at least one target, rank >= 1, finite alpha, dropout in [0, 1)",
        "rank " + std::to_string(out.rank) + ", " + std::to_string(targets.Length()) + " targets");
  return out;
}

Sampling sampling(const Napi::Value& value) {
  const Napi::Object in = object(value, "sampling");
  Sampling out;
  out.temperature = float(number(in, "temperature"));
  out.top_k = int(integer(in, "topK"));
  out.top_p = float(number(in, "topP"));
  out.min_p = float(number(in, "minP"));
  out.repetition_penalty = float(number(in, "repetitionPenalty"));
  return out;
}

std::vector<ScriptStep> script(const Napi::Value& value) {
  const Napi::Array in = array(value, "script");
  std::vector<ScriptStep> out;
  for (uint32_t i = 0; i < in.Length(); ++i) out.push_back(script_step(in.Get(i)));
  return out;
}

OptimiserStep optimiser_step(const Napi::Value& value) {
  const Napi::Object in = object(value, "optimiser step");
  OptimiserStep out;
  out.learning_rate = float(number(in, "learningRate"));
  out.beta1 = float(number(in, "beta1"));
  out.beta2 = float(number(in, "beta2"));
  out.epsilon = float(number(in, "epsilon"));
  out.weight_decay = float(number(in, "weightDecay"));
  out.clip_norm = float(number(in, "clipNorm"));
  return out;
}

PolicyLossConfig policy_loss_config(const Napi::Value& value) {
  const Napi::Object in = object(value, "policy loss");
  PolicyLossConfig out;
  out.loss = policy_loss_from_name(text(in, "loss"));
  out.clip_low = float(number(in, "clipLow"));
  out.clip_high = float(number(in, "clipHigh"));
  out.dual_clip = float(number(in, "dualClip"));
  out.aggregation = aggregation_from_name(text(in, "aggregation"));
  out.max_length = float(number(in, "maxLength"));
  out.kl = kl_from_name(text(in, "kl"));
  out.beta = float(number(in, "beta"));
  out.entropy_bonus = float(number(in, "entropyBonus"));
  out.ratio_cap = float(number(in, "ratioCap"));
  out.tau_gain = float(number(in, "tauGain"));
  out.tau_loss = float(number(in, "tauLoss"));
  out.cov_penalty = float(number(in, "covPenalty"));
  out.off_policy_limit = float(number(in, "offPolicyLimit"));
  out.preference_beta = float(number(in, "preferenceBeta"));
  out.preference_margin = float(number(in, "preferenceMargin"));
  return out;
}

// ---- to JS --------------------------------------------------------------------------------------

Napi::Value to_js(Napi::Env env, const std::vector<int32_t>& values) {
  return fresh<Napi::Int32Array>(env, values.data(), values.size());
}
Napi::Value to_js(Napi::Env env, const std::vector<uint8_t>& values) {
  return fresh<Napi::Uint8Array>(env, values.data(), values.size());
}
Napi::Value to_js(Napi::Env env, const std::vector<double>& values) {
  return fresh<Napi::Float64Array>(env, values.data(), values.size());
}
Napi::Value to_js(Napi::Env env, const std::vector<float>& values) {
  return fresh<Napi::Float32Array>(env, values.data(), values.size());
}
Napi::Value float32s(Napi::Env env, const float* values, int64_t n) {
  return fresh<Napi::Float32Array>(env, values, size_t(n));
}

Napi::Value to_js(Napi::Env env, const std::vector<std::vector<float>>& rows) {
  Napi::Array out = Napi::Array::New(env, rows.size());
  for (size_t i = 0; i < rows.size(); ++i) out.Set(uint32_t(i), to_js(env, rows[i]));
  return out;
}

Napi::Value to_js(Napi::Env env, const LoraConfig& config) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("rank", config.rank);
  out.Set("alpha", config.alpha);
  out.Set("rslora", config.rslora);
  out.Set("dropout", config.dropout);
  Napi::Array targets = Napi::Array::New(env);
  for (int l = 0; l < kLinears; ++l)
    if (config.targets[size_t(l)]) targets.Set(targets.Length(), kLinearNames[l]);
  out.Set("targets", targets);
  Napi::Array modules = Napi::Array::New(env);
  for (const LoraModule& m : config.modules) {
    Napi::Object module = Napi::Object::New(env);
    module.Set("layer", double(m.layer));
    module.Set("linear", kLinearNames[m.linear]);
    module.Set("rank", m.rank);
    module.Set("alpha", m.alpha);
    modules.Set(modules.Length(), module);
  }
  out.Set("modules", modules);
  return out;
}

Napi::Value to_js(Napi::Env env, const ParameterLayout& layout) {
  Napi::Array out = Napi::Array::New(env, layout.entries.size());
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const Parameter& parameter = layout.entries[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", parameter.name);
    entry.Set("offset", double(parameter.offset));
    entry.Set("rows", double(parameter.rows));
    entry.Set("cols", double(parameter.cols));
    entry.Set("decay", parameter.decay);
    out.Set(uint32_t(i), entry);
  }
  return out;
}

Napi::Value to_js(Napi::Env env, const PolicyLossSums& sums) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("loss", sums.loss);
  out.Set("policy", sums.policy);
  out.Set("kl", sums.kl);
  out.Set("entropy", sums.entropy);
  out.Set("klSum", sums.kl_sum);
  out.Set("ratioSum", sums.ratio_sum);
  out.Set("entropySum", sums.entropy_sum);
  out.Set("maxAbsLogRatio", sums.max_abs_log_ratio);
  out.Set("tokens", double(sums.tokens));
  out.Set("clippedLow", double(sums.clipped_low));
  out.Set("clippedHigh", double(sums.clipped_high));
  out.Set("leftOut", double(sums.left_out));
  out.Set("preferences", double(sums.preferences));
  out.Set("correct", double(sums.correct));
  return out;
}

Napi::Value to_js(Napi::Env env, const SampleResult& sample) {
  static constexpr const char* kFinishNames[] = {"none", "stop_token", "stop_string", "length"};
  Napi::Object out = Napi::Object::New(env);
  out.Set("tokens", to_js(env, sample.tokens));
  out.Set("kinds",
          fresh<Napi::Uint8Array>(env, reinterpret_cast<const uint8_t*>(sample.kinds.data()),
                                  sample.kinds.size()));
  out.Set("logprobs", to_js(env, sample.logprobs));
  out.Set("entropies", to_js(env, sample.entropies));
  Napi::Array finishes = Napi::Array::New(env, sample.finishes.size());
  for (size_t i = 0; i < sample.finishes.size(); ++i)
    finishes.Set(uint32_t(i), kFinishNames[sample.finishes[i]]);
  out.Set("finishes", finishes);
  out.Set("choice", sample.choice);
  out.Set("candidateJoint", to_js(env, sample.candidate_joint));
  out.Set("candidateMean", to_js(env, sample.candidate_mean));
  out.Set("candidateProb", to_js(env, sample.candidate_prob));
  out.Set("beam", to_js(env, sample.beam));
  out.Set("beamScores", to_js(env, sample.beam_scores));
  out.Set("plainLogprobs", to_js(env, sample.plain_logprobs));
  out.Set("topIds", to_js(env, sample.top_ids));
  out.Set("topLogprobs", to_js(env, sample.top_logprobs));
  return out;
}

}  // namespace reasonrec::binding
