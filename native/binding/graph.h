// The user-item graph as a JS object, and its chains; see graph/chains.h for what they are.
#pragma once
#include <napi.h>

#include <memory>

#include "graph/interaction_graph.h"

namespace reasonrec::binding {

struct GraphHandle {
  std::unique_ptr<const InteractionGraph> graph;
};

class GraphWrap : public Napi::ObjectWrap<GraphWrap> {
 public:
  static Napi::Function define(Napi::Env);
  explicit GraphWrap(const Napi::CallbackInfo&);
  std::shared_ptr<GraphHandle> handle;

 private:
  Napi::Value users(const Napi::CallbackInfo&);
  Napi::Value items(const Napi::CallbackInfo&);
  Napi::Value edges(const Napi::CallbackInfo&);
  Napi::Value bytes(const Napi::CallbackInfo&);
};

// Calls of the export list.
Napi::Value create_graph(const Napi::CallbackInfo&);
Napi::Value sample_chains_of(const Napi::CallbackInfo&);
Napi::Value sample_chains_now(const Napi::CallbackInfo&);
Napi::Value chain_candidates_of(const Napi::CallbackInfo&);

}  // namespace reasonrec::binding
