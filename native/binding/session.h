// A decoding session as a JS object; see decode/session.h. What joins and what leaves is noted on
// the JS thread and handed over with the next step, so that nothing is shared while a step runs.
#pragma once
#include <napi.h>

#include <memory>
#include <optional>
#include <vector>

#include "binding/model.h"
#include "decode/session.h"

namespace reasonrec::binding {

struct SessionHandle {
  std::shared_ptr<ModelHandle> model;
  AdapterHandles adapters;
  std::optional<VocabularyBytes> vocabulary;
  std::unique_ptr<DecodeSession> session;  // null: closed
  // JS thread only.
  std::vector<SessionGroup> joining;
  std::vector<int64_t> dropping;
  bool stepping = false;
};

class SessionWrap : public Napi::ObjectWrap<SessionWrap> {
 public:
  static Napi::Function define(Napi::Env);
  explicit SessionWrap(const Napi::CallbackInfo&);

 private:
  Napi::Value join(const Napi::CallbackInfo&);
  Napi::Value drop(const Napi::CallbackInfo&);
  Napi::Value step(const Napi::CallbackInfo&);
  Napi::Value close(const Napi::CallbackInfo&);
  void require_open() const;

  std::shared_ptr<SessionHandle> handle_;
};

Napi::Value open_session(const Napi::CallbackInfo&);

}  // namespace reasonrec::binding
