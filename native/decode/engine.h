// Decoding: groups in, finished samples out. A group's samples share the prompt's keys and values;
// finished rows leave at step boundaries and waiting groups take their place.
//
// A sample follows a script: think freely until a stop, then tokens given by the caller, then a
// choice restricted to a trie of titles. Afterwards candidates can be scored at the end of the row
// with everything before them shared. Philox(seed, stream, position) makes a sample a function of its
// stream alone: batch order, live rows and thread count do not matter.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/job.h"
#include "decode/allowed_tokens.h"
#include "model/decoder.h"

namespace reasonrec {

struct Sampling {
  float temperature = 1;  // 0: greedy (smallest id wins a tie), log-probs then at temperature 1
  int top_k = 0;          // 0: off
  float top_p = 1, min_p = 0, repetition_penalty = 1;  // order: penalty, temperature, top-k, top-p, min-p
};

enum class StepKind { kFree, kGiven, kChoose };

struct ScriptStep {
  StepKind kind = StepKind::kFree;
  Sampling sampling;                       // kFree, kChoose
  int max_new = 0;                         // kFree: at most so many tokens
  std::vector<int32_t> stop_tokens;        // kFree: the token is kept in the row and ends the sample's script...
  bool stop_token_ends_sample = true;      // ...or only this step
  std::vector<std::string> stop_strings;   // kFree: bytes; the step ends once the row's text of this step contains one
  std::vector<int32_t> given;              // kGiven: appended as they are (no loss, no log-prob)
  std::vector<int32_t> given_if_unclosed;  // kGiven: used instead when the kFree step before hit max_new or a stop token
};

struct SampleRequest {
  uint64_t stream = 0;
  std::vector<int32_t> given;  // appended before the script starts
};

struct GroupRequest {
  std::vector<int32_t> prompt;                   // at least one token
  std::vector<SampleRequest> samples;
  std::shared_ptr<const Trie> trie;              // for kChoose
  std::vector<std::vector<int32_t>> candidates;  // scored after each finished sample; may be empty
};

enum class Finish : int8_t { kNone, kStopToken, kStopString, kLength };
enum class TokenKind : int8_t { kSampled, kGiven, kChosen };

struct SampleResult {
  std::vector<int32_t> tokens;     // all after the prompt (SampleRequest::given included, as kGiven)
  std::vector<int8_t> kinds;       // TokenKind
  std::vector<float> logprobs;     // at the sampling temperature, over the full vocabulary (kChosen: renormalised
                                   // over the allowed tokens); 0 for kGiven
  std::vector<float> entropies;    // nats, of the same distribution
  std::vector<int8_t> finishes;    // Finish of every script step
  int32_t choice = -1;             // leaf of kChoose
  std::vector<float> candidate_joint;  // sum of token log-probs at temperature 1, full vocabulary
  std::vector<float> candidate_mean;   // per token
};

struct DecodeOptions {
  uint64_t seed = 0;
  int max_rows = 64;         // live rows
  bool share_prefix = true;  // false: every sample carries its own copy of the prompt (the oracle)
};

// Bytes of every vocabulary entry, for stop strings: entry i is bytes[offsets[i], offsets[i + 1]).
struct VocabularyBytes {
  std::vector<int64_t> offsets;
  std::string bytes;
};

// results[group][sample]. Throws RR_PROMPT_TOO_LONG, RR_TOKEN_OUT_OF_RANGE, RR_SCRIPT (no trie, no vocabulary bytes...).
std::vector<std::vector<SampleResult>> generate(const Context&, const Model&, const AdapterStack&,
                                                const std::vector<GroupRequest>&, const std::vector<ScriptStep>&,
                                                const DecodeOptions&, const VocabularyBytes*, const Job&);

// Next-token log-probs of whole sequences: out[s][i] = log p(ids[i + 1] | ids[0..i]) at temperature 1.
// logits_out (optional): per sequence (length, V).
std::vector<std::vector<float>> sequence_logprobs(const Context&, const Model&, const AdapterStack&,
                                                  const std::vector<std::vector<int32_t>>& sequences,
                                                  std::vector<std::vector<float>>* entropies,
                                                  std::vector<std::vector<float>>* logits_out, const Job&);

}  // namespace reasonrec
