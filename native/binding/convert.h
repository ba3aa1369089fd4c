// JS values <-> the core's types, with errors that name the field. Arrays are copied both ways: the
// caller may change its own at once, and gets fresh ones. Nothing here computes or chooses a
// default.
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/check.h"
#include "decode/engine.h"
#include "model/config.h"
#include "model/lora.h"
#include "model/parameters.h"
#include "ops/policy_loss.h"
#include "train/adamw.h"

namespace reasonrec::binding {

// ---- errors ----
Napi::Error to_js(Napi::Env, const Error&);
Napi::Error current_error(Napi::Env);  // of the exception being handled; call in a catch block

// Runs a call of the export list; whatever it throws becomes a JS error.
template <class F>
Napi::Value guarded(const Napi::CallbackInfo& info, F&& body) {
  try {
    return body();
  } catch (...) {
    throw current_error(info.Env());
  }
}

// ---- from JS; `what` names the value in errors, RR_BAD_ARGUMENT ----
Napi::Object object(const Napi::Value&, const std::string& what);
Napi::Array array(const Napi::Value&, const std::string& what);
Napi::Value field(const Napi::Object&, const char* name);
double number(const Napi::Object&, const char* name);
int64_t integer(const Napi::Value&, const std::string& what);
int64_t integer(const Napi::Object&, const char* name);
bool boolean(const Napi::Value&, const std::string& what);
bool boolean(const Napi::Object&, const char* name);
std::string text(const Napi::Value&, const std::string& what);
std::string text(const Napi::Object&, const char* name);
uint64_t word(const Napi::Value&, const std::string& what);  // a bigint of 64 bits
double number(const Napi::Value&, const std::string& what);
std::vector<int32_t> int32s(const Napi::Value&, const std::string& what);
std::vector<uint8_t> bytes(const Napi::Value&, const std::string& what);
std::vector<float> floats(const Napi::Value&, const std::string& what);
std::vector<double> doubles(const Napi::Value&, const std::string& what);
std::vector<std::vector<int32_t>> sequences(const Napi::Value&, const std::string& what);

Compute compute(const Napi::Value&);  // fp32 where it is undefined
ModelConfig model_config(const Napi::Value&);
LoraConfig lora_config(const Napi::Value&);
Sampling sampling(const Napi::Value&);
std::vector<ScriptStep> script(const Napi::Value&);
OptimiserStep optimiser_step(const Napi::Value&);
PolicyLossConfig policy_loss_config(const Napi::Value&);

// ---- to JS ----
Napi::Value to_js(Napi::Env, const std::vector<int32_t>&);  // Int32Array
Napi::Value to_js(Napi::Env, const std::vector<uint8_t>&);  // Uint8Array
Napi::Value to_js(Napi::Env, const std::vector<double>&);   // Float64Array
Napi::Value to_js(Napi::Env, const std::vector<float>&);    // Float32Array
Napi::Value float32s(Napi::Env, const float* values, int64_t n);
Napi::Value to_js(Napi::Env, const std::vector<std::vector<float>>&);  // array of Float32Array
Napi::Value to_js(Napi::Env, const LoraConfig&);
Napi::Value to_js(Napi::Env, const ParameterLayout&);
Napi::Value to_js(Napi::Env, const PolicyLossSums&);
Napi::Value to_js(Napi::Env, const SampleResult&);

}  // namespace reasonrec::binding
