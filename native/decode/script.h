// A sample's script: think freely until a stop, then tokens given by the caller, then a choice
// restricted to a trie of titles. ScriptCursor walks one row through it and says, between two
// forwards, which token has to be decided next; it never looks at the model.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "decode/allowed_tokens.h"
#include "decode/sampler.h"
#include "decode/stop.h"

namespace reasonrec {

enum class StepKind { kFree, kGiven, kChoose };

struct ScriptStep {
  StepKind kind = StepKind::kFree;
  Sampling sampling;  // kFree, kChoose
  int max_new = 0;    // kFree: at most so many tokens
  std::vector<int32_t>
      stop_tokens;  // kFree: the token is kept in the row and ends the sample's script...
  bool stop_token_ends_sample = true;  // ...or only this step
  std::vector<std::string>
      stop_strings;  // kFree: bytes; the step ends once the row's text of this step contains one
  std::vector<int32_t> given;  // kGiven: appended as they are (no loss, no log-prob)
  std::vector<int32_t>
      given_if_unclosed;  // kGiven: used instead, unless empty, when the kFree step before did not
                          // end by a stop string (it hit max_new or a stop token)
};

enum class Finish : int8_t { kNone, kStopToken, kStopString, kLength };
enum class TokenKind : int8_t { kSampled, kGiven, kChosen };

struct SampleResult {
  std::vector<int32_t> tokens;   // all after the prompt (SampleRequest::given included, as kGiven)
  std::vector<int8_t> kinds;     // TokenKind
  std::vector<float> logprobs;   // at the sampling temperature, over the full vocabulary (kChosen:
                                 // renormalised over the allowed tokens); 0 for kGiven
  std::vector<float> entropies;  // nats, of the same distribution
  std::vector<int8_t> finishes;  // Finish of every script step
  // Where GroupRequest::top asks: at temperature 1 over the full vocabulary, for every token; what
  // was not sampled freely has log-prob 0 and no likeliest.
  std::vector<float> plain_logprobs;
  std::vector<int32_t> top_ids;        // (tokens, top), best first, -1: none
  std::vector<float> top_logprobs;     // (tokens, top)
  int32_t choice = -1;                 // leaf of kChoose
  std::vector<float> candidate_joint;  // sum of token log-probs at temperature 1, full vocabulary
  std::vector<float> candidate_mean;   // per token
  std::vector<float> candidate_prob;   // mean over its tokens of p
  std::vector<int32_t> beam;           // sequences of the beam's trie, best first, padded with -1
  std::vector<double> beam_scores;     // sum of token log-probs at temperature 1, padded with -inf
};

// Throws RR_TOKEN_OUT_OF_RANGE, naming what holds the token.
void check_tokens(const std::vector<int32_t>& ids, int64_t vocabulary, const std::string& what);

// Throws RR_SCRIPT (no trie, no vocabulary bytes, a kFree step that may run for ever...),
// RR_SAMPLING, RR_TOKEN_OUT_OF_RANGE.
void check_script(const std::vector<ScriptStep>&, const VocabularyBytes*, int64_t vocabulary);

// The most tokens that the script can append after the ones given with the request.
int64_t script_capacity(const std::vector<ScriptStep>&, const Trie*);

class ScriptCursor {
 public:
  // All references outlive the cursor. Walks up to the first decision.
  ScriptCursor(const std::vector<ScriptStep>&, const Trie*, const VocabularyBytes*,
               const std::vector<int32_t>& given, SampleResult& out);

  bool done() const { return step_ == script_->size(); }
  // Of the next decision; only while not done().
  const Sampling& sampling() const { return (*script_)[step_].sampling; }
  // Index of the first token of the last choice in SampleResult::tokens; -1: none yet.
  int64_t choice_begin() const { return choice_begin_; }
  bool restricted() const { return (*script_)[step_].kind == StepKind::kChoose; }
  const int32_t* allowed(int64_t* count) const { return trie_->tokens(node_, count); }
  // Records the decision and walks on, through given tokens and nodes with one child, to the next
  // one.
  void accept(int32_t token, float logprob, float entropy);

 private:
  void push(int32_t token, TokenKind, float logprob, float entropy);
  void end_step(Finish);
  void walk();
  void accept_free(int32_t token);

  const std::vector<ScriptStep>* script_;
  const Trie* trie_;
  const VocabularyBytes* vocabulary_;
  SampleResult* out_;
  size_t step_ = 0;
  int free_tokens_ = 0;         // of the current kFree step
  int32_t node_ = Trie::kRoot;  // of the current kChoose step
  int64_t choice_begin_ = -1;
  Finish last_free_ = Finish::kNone;  // how the kFree step before ended
  StopMatcher stop_;
};

}  // namespace reasonrec
