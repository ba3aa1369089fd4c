// One kernel of one instruction set on given arrays, timed inside; and the machine's ceilings.
#pragma once
#include <napi.h>

namespace reasonrec::binding {

Napi::Value run_kernel(const Napi::CallbackInfo&);
Napi::Value machine_ceilings(const Napi::CallbackInfo&);

}  // namespace reasonrec::binding
