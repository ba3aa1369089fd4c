// generate(): a session (session.h) that all groups join before its first step.
#include "decode/engine.h"

#include "decode/session.h"

namespace reasonrec {
namespace {

// A pointer that owns nothing: the caller's groups outlive the session.
template <class T>
std::shared_ptr<const T> lent(const T& value) {
  return {std::shared_ptr<const T>(), &value};
}

}  // namespace

std::vector<std::vector<SampleResult>> generate(const Context& context, const Model& model,
                                                const AdapterStack& adapters,
                                                const std::vector<GroupRequest>& groups,
                                                const std::vector<ScriptStep>& script,
                                                const DecodeOptions& options,
                                                const VocabularyBytes* vocabulary, const Job& job) {
  check(options.max_rows >= 1, "RR_BAD_ARGUMENT", "max_rows is too small", ">= 1",
        std::to_string(options.max_rows));
  check_script(script, vocabulary, model.config().vocab);
  DecodeSession session(*context.kernels, model, adapters,
                        {options.max_rows, options.share_prefix, false}, vocabulary);
  std::vector<std::vector<SampleResult>> results(groups.size());
  int64_t samples = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    session.join({int64_t(g), lent(groups[g]), lent(script), options.seed, false});
    results[g].resize(groups[g].samples.size());
    samples += int64_t(groups[g].samples.size());
  }
  job.total(int32_t(samples));
  while (!session.idle())
    for (SessionSample& done : session.step(context, job).finished)
      results[size_t(done.group)][size_t(done.sample)] = std::move(done.result);
  return results;
}

}  // namespace reasonrec
