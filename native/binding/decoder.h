// Decoding and scoring calls of the export list.
#pragma once
#include <napi.h>

namespace reasonrec::binding {

Napi::Value generate_samples(const Napi::CallbackInfo&);
Napi::Value score_sequences(const Napi::CallbackInfo&);
Napi::Value sampling_distribution(const Napi::CallbackInfo&);
Napi::Value philox_uniforms(const Napi::CallbackInfo&);

}  // namespace reasonrec::binding
