// Decoding: groups in, finished samples out. A group's samples share the prompt's keys and values;
// finished rows leave at step boundaries and waiting groups take their place.
//
// A sample follows a script: think freely until a stop, then tokens given by the caller, then a
// choice restricted to a trie of titles. Afterwards candidates can be scored, or a catalogue
// searched by a beam, at the end of the row, or in the place of the choice, with everything before
// them shared. Philox(seed, stream, position) makes a sample a function of its stream alone: batch
// order, live rows and thread count do not matter.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/job.h"
#include "decode/allowed_tokens.h"
#include "decode/script.h"
#include "model/decoder.h"

namespace reasonrec {

struct SampleRequest {
  uint64_t stream = 0;
  std::vector<int32_t> given;  // appended before the script starts
};

// Which of a trie's sequences the model would write here, best first (beam_search.h).
struct BeamRequest {
  std::shared_ptr<const Trie> trie;  // null: no search
  int width = 0;                     // hypotheses kept, and sequences returned
  bool renormalise = false;          // log-probs over the allowed tokens, not the vocabulary
  std::vector<int32_t> excluded;     // sequences of the trie that must not come out
};

struct GroupRequest {
  std::vector<int32_t> prompt;  // at least one token
  std::vector<SampleRequest> samples;
  std::shared_ptr<const Trie> trie;              // for kChoose
  std::vector<std::vector<int32_t>> candidates;  // scored after each finished sample; may be empty
  BeamRequest beam;                              // searched in the same place
  int top = -1;  // >= 0: SampleResult::plain_logprobs, and so many likeliest tokens each
};

struct DecodeOptions {
  uint64_t seed = 0;
  int max_rows = 64;         // live rows
  bool share_prefix = true;  // false: every sample carries its own copy of the prompt (the oracle)
};

// results[group][sample]. Throws RR_PROMPT_TOO_LONG, RR_TOKEN_OUT_OF_RANGE, RR_SCRIPT (no trie, no
// vocabulary bytes...), RR_SAMPLING, RR_NON_FINITE, RR_CANCELLED.
std::vector<std::vector<SampleResult>> generate(const Context&, const Model&, const AdapterStack&,
                                                const std::vector<GroupRequest>&,
                                                const std::vector<ScriptStep>&,
                                                const DecodeOptions&, const VocabularyBytes*,
                                                const Job&);

// Next-token log-probs of whole sequences: out[s][i] = log p(ids[i + 1] | ids[0..i]) at
// temperature 1. entropies (optional): at every position, (length). logits_out (optional): per
// sequence (length, V).
std::vector<std::vector<float>> sequence_logprobs(
    const Context&, const Model&, const AdapterStack&,
    const std::vector<std::vector<int32_t>>& sequences, std::vector<std::vector<float>>* entropies,
    std::vector<std::vector<float>>* logits_out, const Job&);

}  // namespace reasonrec
