// The head over the rows that need a decision: hidden rows gathered side by side, raw logits, and
// the log-prob of whatever is then drawn, in the bits that head_forward gives to a target.
#pragma once
#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "model/decoder.h"

namespace reasonrec {

// log p of a token from its raw logit, as head_forward computes it for a target.
inline float tempered_logprob(float logit, float inv_temperature, float lse) {
  return logit * inv_temperature - lse;
}

// Throws RR_NON_FINITE where an lse or log-prob is not finite.
void check_finite(const float* values, int64_t n);

// (rows, H) side by side in `buffer`.
const float* gather_hidden(Buffer& buffer, const std::vector<const float*>& rows, int64_t h);

// logits (n, V) raw; lse and entropy (n) at the temperature, over the allowed tokens, checked to be
// finite.
void head_logits(const Context&, const Model&, const float* hidden, int64_t n, AllowedTokens,
                 float inv_temperature, float* logits, float* lse, float* entropy);

}  // namespace reasonrec
