// The transitions of script.h. A token that needs no decision (given, or the only child of a trie
// node) is appended at once, so that it shares the next forward with the token before it.
#include "decode/script.h"

#include <algorithm>

#include "core/check.h"

namespace reasonrec {
void check_tokens(const std::vector<int32_t>& ids, int64_t vocabulary, const std::string& what) {
  for (int32_t id : ids)
    if (id < 0 || id >= vocabulary)
      throw Error("RR_TOKEN_OUT_OF_RANGE", what + " holds a token outside the vocabulary",
                  "0 to " + std::to_string(vocabulary - 1), std::to_string(id),
                  "the tokenizer and the model do not belong together");
}

void check_script(const std::vector<ScriptStep>& script, const VocabularyBytes* bytes,
                  int64_t vocabulary) {
  for (size_t i = 0; i < script.size(); ++i) {
    const ScriptStep& step = script[i];
    const std::string where = "script step " + std::to_string(i);
    if (step.kind != StepKind::kGiven) check_sampling(step.sampling);
    check_tokens(step.stop_tokens, vocabulary, where);
    check_tokens(step.given, vocabulary, where);
    check_tokens(step.given_if_unclosed, vocabulary, where);
    if (step.kind != StepKind::kFree) continue;
    check(step.max_new >= 0, "RR_SCRIPT", where + ": max_new is negative", ">= 0",
          std::to_string(step.max_new));
    for (const std::string& stop : step.stop_strings)
      check(!stop.empty(), "RR_SCRIPT", where + ": a stop string is empty", "at least one byte",
            "empty");
    check(step.stop_strings.empty() || bytes, "RR_SCRIPT",
          where + ": stop strings need the vocabulary's bytes", "vocabulary bytes", "none");
  }
  if (!bytes) return;
  bool ordered = !bytes->offsets.empty() && bytes->offsets.front() == 0;
  for (size_t i = 1; ordered && i < bytes->offsets.size(); ++i)
    ordered = bytes->offsets[i - 1] <= bytes->offsets[i];
  check(ordered && bytes->offsets.back() <= int64_t(bytes->bytes.size()), "RR_SCRIPT",
        "the offsets of the vocabulary's bytes are not ascending from 0 to their size",
        "0 to " + std::to_string(bytes->bytes.size()),
        ordered ? std::to_string(bytes->offsets.back()) : "unordered");
}

int64_t script_capacity(const std::vector<ScriptStep>& script, const Trie* trie) {
  int64_t tokens = 0;
  for (const ScriptStep& step : script) {
    if (step.kind == StepKind::kFree) tokens += step.max_new;
    if (step.kind == StepKind::kGiven)
      tokens += int64_t(std::max(step.given.size(), step.given_if_unclosed.size()));
    if (step.kind == StepKind::kChoose) tokens += trie ? trie->depth() : 0;
  }
  return tokens;
}

ScriptCursor::ScriptCursor(const std::vector<ScriptStep>& script, const Trie* trie,
                           const VocabularyBytes* vocabulary, const std::vector<int32_t>& given,
                           SampleResult& out)
    : script_(&script), trie_(trie), vocabulary_(vocabulary), out_(&out) {
  out.finishes.assign(script.size(), int8_t(Finish::kNone));
  for (int32_t token : given) push(token, TokenKind::kGiven, 0, 0);
  walk();
}

void ScriptCursor::push(int32_t token, TokenKind kind, float logprob, float entropy) {
  out_->tokens.push_back(token);
  out_->kinds.push_back(int8_t(kind));
  out_->logprobs.push_back(logprob);
  out_->entropies.push_back(entropy);
}

void ScriptCursor::end_step(Finish finish) {
  const ScriptStep& step = (*script_)[step_];
  out_->finishes[step_] = int8_t(finish);
  if (step.kind == StepKind::kFree) last_free_ = finish;
  free_tokens_ = 0;
  node_ = Trie::kRoot;
  stop_.reset();
  const bool ends = finish == Finish::kStopToken && step.stop_token_ends_sample;
  step_ = ends ? script_->size() : step_ + 1;
}

void ScriptCursor::walk() {
  while (!done()) {
    const ScriptStep& step = (*script_)[step_];
    if (step.kind == StepKind::kFree) {
      if (free_tokens_ < step.max_new) return;
      end_step(Finish::kLength);
    } else if (step.kind == StepKind::kGiven) {
      const bool unclosed = last_free_ == Finish::kLength || last_free_ == Finish::kStopToken;
      const auto& given =
          unclosed && !step.given_if_unclosed.empty() ? step.given_if_unclosed : step.given;
      for (int32_t token : given) push(token, TokenKind::kGiven, 0, 0);
      end_step(Finish::kNone);
    } else {
      if (node_ == Trie::kRoot) choice_begin_ = int64_t(out_->tokens.size());
      int64_t count = 0;
      const int32_t* only = trie_->tokens(node_, &count);
      if (count > 1) return;
      if (count == 1) {
        push(*only, TokenKind::kChosen, 0, 0);
        node_ = trie_->next(node_, *only);
      }
      if (trie_->leaf(node_) >= 0) {
        out_->choice = trie_->leaf(node_);
        end_step(Finish::kNone);
      }
    }
  }
}

void ScriptCursor::accept(int32_t token, float logprob, float entropy) {
  if (restricted()) {
    push(token, TokenKind::kChosen, logprob, entropy);
    node_ = trie_->next(node_, token);
  } else {
    push(token, TokenKind::kSampled, logprob, entropy);
    accept_free(token);
  }
  walk();
}

void ScriptCursor::accept_free(int32_t token) {
  const ScriptStep& step = (*script_)[step_];
  ++free_tokens_;
  if (std::find(step.stop_tokens.begin(), step.stop_tokens.end(), token) !=
      step.stop_tokens.end()) {
    end_step(Finish::kStopToken);
    return;
  }
  if (step.stop_strings.empty() || size_t(token) + 1 >= vocabulary_->offsets.size()) return;
  const int64_t begin = vocabulary_->offsets[token], end = vocabulary_->offsets[token + 1];
  if (stop_.append(step.stop_strings, vocabulary_->bytes.data() + begin, end - begin))
    end_step(Finish::kStopString);
}

}  // namespace reasonrec
