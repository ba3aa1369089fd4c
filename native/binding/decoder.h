// Decoding and scoring calls of the export list.
#pragma once
#include <napi.h>

#include <optional>

#include "decode/engine.h"

namespace reasonrec::binding {

GroupRequest group_request(const Napi::Value&);
std::optional<VocabularyBytes> vocabulary_bytes(const Napi::Value&);  // null: none

Napi::Value generate_samples(const Napi::CallbackInfo&);
Napi::Value score_sequences(const Napi::CallbackInfo&);
Napi::Value sampling_distribution(const Napi::CallbackInfo&);
Napi::Value philox_uniforms(const Napi::CallbackInfo&);

}  // namespace reasonrec::binding
