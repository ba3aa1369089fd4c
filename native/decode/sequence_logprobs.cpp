// Log-probs of given sequences, several to a forward: each is a segment of its own, and since keys
// need not outlive their layer, one layer's blocks are lent to all of them.
#include <algorithm>

#include "decode/engine.h"
#include "decode/head_rows.h"
#include "decode/kv_cache.h"

namespace reasonrec {
namespace {

constexpr int64_t kBatchRows = 1024;  // a longer sequence goes alone
constexpr int64_t kLogitFloats = 16 * 1024 * 1024;

struct Slice {
  size_t sequence;
  int64_t first_row;
};

// The head over the sequence's rows [0, n), in pieces where logits are wanted.
void score_sequence(const Context& context, const Model& model, const float* hidden,
                    const std::vector<int32_t>& ids, std::vector<float>& logprobs,
                    std::vector<float>* entropies, std::vector<float>* logits) {
  const int64_t h = model.config().hidden, v = model.config().vocab, n = int64_t(ids.size());
  std::vector<int32_t> targets(ids.begin() + 1, ids.end());
  targets.push_back(-1);  // nothing follows the last token
  std::vector<float> logprob(size_t(n), 0.0f), entropy(size_t(n), 0.0f), lse(size_t(n), 0.0f);
  if (logits) logits->resize(size_t(n * v));
  const int64_t piece = logits ? std::max<int64_t>(1, kLogitFloats / v) : n;
  for (int64_t i = 0; i < n; i += piece) {
    const int64_t rows = std::min(piece, n - i);
    context.kernels->head_forward(
        context, logprob.data() + i, entropies ? entropy.data() + i : nullptr, lse.data() + i,
        logits ? logits->data() + i * v : nullptr, hidden + i * h, model.head(), targets.data() + i,
        AllowedTokens{}, 1.0f, rows, h, v);
  }
  check_finite(lse.data(), n);
  logprobs.assign(logprob.begin(), logprob.end() - 1);
  if (entropies) *entropies = std::move(entropy);
}

}  // namespace

std::vector<std::vector<float>> sequence_logprobs(
    const Context& context, const Model& model, const AdapterStack& adapters,
    const std::vector<std::vector<int32_t>>& sequences, std::vector<std::vector<float>>* entropies,
    std::vector<std::vector<float>>* logits_out, const Job& job) {
  const ModelConfig& config = model.config();
  for (const auto& ids : sequences) {
    check(!ids.empty(), "RR_PROMPT_EMPTY", "a sequence has no token", ">= 1 token", "0");
    check(int64_t(ids.size()) <= config.max_position, "RR_PROMPT_TOO_LONG",
          "a sequence does not fit the model's context",
          "at most " + std::to_string(config.max_position) + " tokens", std::to_string(ids.size()));
    check_tokens(ids, config.vocab, "a sequence");
  }
  std::vector<std::vector<float>> logprobs(sequences.size());
  if (entropies) entropies->assign(sequences.size(), {});
  if (logits_out) logits_out->assign(sequences.size(), {});
  job.total(int32_t(sequences.size()));

  KvCache cache(config, context.kernels->panel);
  Buffer hidden;
  for (size_t next = 0; next < sequences.size();) {
    job.poll();
    Batch batch;
    KvTable table(1);
    std::vector<KvSegment> keys;
    std::vector<Slice> slices;
    while (next < sequences.size()) {
      const auto& ids = sequences[next];
      if (batch.rows() > 0 && batch.rows() + int64_t(ids.size()) > kBatchRows) break;
      slices.push_back({next, batch.rows()});
      batch.append(ids.data(), int64_t(ids.size()), -1, 0);
      keys.push_back(cache.acquire(int64_t(ids.size()), 1));
      table.append(keys.back());
      ++next;
    }
    hidden.resize(batch.rows() * config.hidden);
    decoder_forward(context.polling(job), model, adapters, batch, table.blocks, hidden.data(),
                    nullptr);
    for (const Slice& s : slices) {
      job.poll();
      score_sequence(context, model, hidden.data() + s.first_row * config.hidden,
                     sequences[s.sequence], logprobs[s.sequence],
                     entropies ? &(*entropies)[s.sequence] : nullptr,
                     logits_out ? &(*logits_out)[s.sequence] : nullptr);
      job.advance(1, int32_t(sequences[s.sequence].size()));
    }
    for (KvSegment& k : keys) cache.release(std::move(k));
  }
  return logprobs;
}

}  // namespace reasonrec
