// Graph calls: columns in, columns out.
#include "binding/graph.h"

#include "binding/addon.h"
#include "binding/convert.h"
#include "graph/chains.h"

namespace reasonrec::binding {
namespace {

std::shared_ptr<GraphHandle> graph_handle(const Napi::Value& value) {
  check(value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kGraphTag), "RR_BAD_ARGUMENT",
        "this is no graph", "a graph of this addon", "something else");
  return GraphWrap::Unwrap(value.As<Napi::Object>())->handle;
}

Edges edges_of(const Napi::Value& value) {
  const Napi::Object in = object(value, "edges");
  return {int32s(field(in, "users"), "users"), int32s(field(in, "items"), "items"),
          floats(field(in, "ratings"), "ratings"), doubles(field(in, "times"), "times")};
}

// The columns of many queries, and queries that point into them.
struct QueryColumns {
  std::vector<int32_t> own_items, excluded;
  std::vector<float> own_ratings;
  std::vector<double> own_times;
  std::vector<ChainQuery> queries;
};

void require_offsets(const std::vector<int32_t>& offsets, size_t queries, size_t values,
                     const char* what) {
  bool good = offsets.size() == queries + 1 && offsets.front() == 0;
  for (size_t q = 0; good && q < queries; ++q) good = offsets[q] <= offsets[q + 1];
  check(good && size_t(offsets.back()) == values, "RR_BAD_ARGUMENT",
        std::string(what) + " is not usable", "ascending offsets from 0 to the number of values",
        "something else");
}

std::shared_ptr<QueryColumns> query_columns(const Napi::Value& value) {
  const Napi::Object in = object(value, "queries");
  const std::vector<int32_t> users = int32s(field(in, "users"), "users"),
                             targets = int32s(field(in, "targets"), "targets"),
                             counts = int32s(field(in, "counts"), "counts"),
                             given = int32s(field(in, "ownGiven"), "ownGiven"),
                             own_offsets = int32s(field(in, "ownOffsets"), "ownOffsets"),
                             barred = int32s(field(in, "excludedOffsets"), "excludedOffsets");
  const std::vector<double> before = doubles(field(in, "before"), "before");
  const Napi::Value streams = field(in, "streams");
  const size_t n = users.size();
  check(streams.IsTypedArray() &&
            streams.As<Napi::TypedArray>().TypedArrayType() == napi_biguint64_array &&
            streams.As<Napi::TypedArray>().ElementLength() == n && targets.size() == n &&
            counts.size() == n && given.size() == n && before.size() == n,
        "RR_BAD_ARGUMENT", "the columns of the queries do not fit together",
        std::to_string(n) + " values each, streams a BigUint64Array", "other lengths or types");
  auto out = std::make_shared<QueryColumns>();
  out->own_items = int32s(field(in, "ownItems"), "ownItems");
  out->own_ratings = floats(field(in, "ownRatings"), "ownRatings");
  out->own_times = doubles(field(in, "ownTimes"), "ownTimes");
  out->excluded = int32s(field(in, "excluded"), "excluded");
  require_offsets(own_offsets, n, out->own_items.size(), "ownOffsets");
  require_offsets(own_offsets, n, out->own_ratings.size(), "ownOffsets");
  require_offsets(own_offsets, n, out->own_times.size(), "ownOffsets");
  require_offsets(barred, n, out->excluded.size(), "excludedOffsets");
  const uint64_t* stream = streams.As<Napi::BigUint64Array>().Data();
  out->queries.resize(n);
  for (size_t q = 0; q < n; ++q) {
    ChainQuery& query = out->queries[q];
    query.user = users[q];
    query.target = targets[q];
    query.count = counts[q];
    query.stream = stream[q];
    query.before = before[q];
    query.own_given = given[q] != 0;
    const size_t first = size_t(own_offsets[q]), own = size_t(own_offsets[q + 1]) - first;
    query.own_items = {out->own_items.data() + first, own};
    query.own_ratings = {out->own_ratings.data() + first, own};
    query.own_times = {out->own_times.data() + first, own};
    query.excluded = {out->excluded.data() + barred[q], size_t(barred[q + 1] - barred[q])};
  }
  return out;
}

ChainOptions chain_options(const Napi::Value& value) {
  const Napi::Object in = object(value, "chain options");
  const std::string weights = text(in, "weights"), form = text(in, "form");
  check(weights == "faithful" || weights == "tuned", "RR_BAD_ARGUMENT", "weights is not usable",
        "faithful or tuned", weights);
  check(form == "closed" || form == "open", "RR_BAD_ARGUMENT", "form is not usable",
        "closed or open", form);
  ChainOptions out;
  out.seed = word(field(in, "seed"), "seed");
  out.weights = weights == "tuned" ? ChainWeights::kTuned : ChainWeights::kFaithful;
  out.form = form == "open" ? ChainForm::kOpen : ChainForm::kClosed;
  out.fall_back = boolean(in, "fallBack");
  out.shared_clock = boolean(in, "sharedClock");
  out.middles = int32_t(integer(in, "middles"));
  return out;
}

Napi::Value to_js(Napi::Env env, const Chains& chains) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("users", binding::to_js(env, chains.users));
  out.Set("items", binding::to_js(env, chains.items));
  out.Set("ratings", binding::to_js(env, chains.ratings));
  out.Set("counts", binding::to_js(env, chains.counts));
  std::vector<int32_t> outcomes;
  for (ChainOutcome outcome : chains.outcomes) outcomes.push_back(int32_t(outcome));
  out.Set("outcomes", binding::to_js(env, outcomes));
  return out;
}

}  // namespace

Napi::Function GraphWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeGraph",
      {InstanceAccessor<&GraphWrap::users>("users"), InstanceAccessor<&GraphWrap::items>("items"),
       InstanceAccessor<&GraphWrap::edges>("edges"), InstanceAccessor<&GraphWrap::bytes>("bytes")});
}

GraphWrap::GraphWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<GraphWrap>(info), handle(given_handle<GraphHandle>(info)) {
  info.This().As<Napi::Object>().TypeTag(&kGraphTag);
}

Napi::Value GraphWrap::users(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), handle->graph->users());
}
Napi::Value GraphWrap::items(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), handle->graph->items());
}
Napi::Value GraphWrap::edges(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), double(handle->graph->edges()));
}
Napi::Value GraphWrap::bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), double(handle->graph->bytes()));
}

Napi::Value create_graph(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const int32_t users = int32_t(integer(info[0], "users")),
                  items = int32_t(integer(info[1], "items"));
    auto handle = std::make_shared<GraphHandle>();
    handle->graph = std::make_unique<const InteractionGraph>(users, items, edges_of(info[2]));
    return Napi::Value(wrap(data(info.Env()).graph, info.Env(), handle));
  });
}

Napi::Value sample_chains_of(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto handle = graph_handle(info[0]);
    auto columns = query_columns(info[1]);
    const ChainOptions options = chain_options(info[2]);
    auto chains = std::make_shared<Chains>();
    Task task;
    task.work = [=](const Context& context, const reasonrec::Job& control) {
      *chains = sample_chains(*context.pool, *handle->graph, columns->queries, options, control);
    };
    task.result = [chains](Napi::Env env) { return to_js(env, *chains); };
    return worker(info.Env()).run(info.Env(), info[3], std::move(task));
  });
}

Napi::Value sample_chains_now(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    ThreadPool caller(1);
    const auto columns = query_columns(info[1]);
    return to_js(info.Env(), sample_chains(caller, *graph_handle(info[0])->graph, columns->queries,
                                           chain_options(info[2]), {}));
  });
}

Napi::Value chain_candidates_of(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    auto handle = graph_handle(info[0]);
    auto columns = query_columns(info[1]);
    check(columns->queries.size() == 1, "RR_BAD_ARGUMENT", "candidates are those of one query", "1",
          std::to_string(columns->queries.size()));
    std::vector<int32_t> users, shared;
    for (const Candidate& candidate :
         chain_candidates(*handle->graph, columns->queries[0], boolean(info[2], "sharedClock"))) {
      users.push_back(candidate.user);
      shared.push_back(candidate.shared);
    }
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("users", to_js(info.Env(), users));
    out.Set("shared", to_js(info.Env(), shared));
    return out;
  });
}

}  // namespace reasonrec::binding
