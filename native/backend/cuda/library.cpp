// See library.h.
#include "backend/cuda/library.h"

#include <cstdlib>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace reasonrec::cuda {

#if defined(_WIN32)
Library open_library(const std::string& path) {
  Library out;
  out.path = path;
  out.reason = "the CUDA library is built for Linux only";
  return out;
}
#else

namespace {

// The folder this code was loaded from.
std::string own_folder() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void*>(&open_library), &info) || !info.dli_fname) return ".";
  const std::string file = info.dli_fname;
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

std::string library_path() {
  const char* wanted = std::getenv("REASONREC_CUDA_LIBRARY");
  return wanted && *wanted ? wanted : own_folder() + "/libreasonrec_cuda.so";
}

void find_device(Library& library) {
  const Table& table = *library.table;
  const int32_t counted = table.device_count(&library.devices);
  if (counted != 0 || library.devices == 0) {  // without a driver the number is not to be trusted
    library.devices = 0;
    library.reason = std::string("no GPU answers: ") +
                     (counted != 0 ? table.error_text(counted) : "none is there");
    return;
  }
  const int32_t asked = table.device_info(0, &library.device);
  if (asked == 0) return;
  library.devices = 0;
  library.reason = std::string("the GPU does not answer: ") + table.error_text(asked);
}

}  // namespace

Library open_library(const std::string& path) {
  Library out;
  out.path = path;
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* why = dlerror();
    out.reason = std::string("the CUDA library is not loaded (") + (why ? why : path) +
                 "); npm run build:cuda makes it where nvcc is";
    return out;
  }
  const auto entry =
      reinterpret_cast<const Table* (*)(int32_t)>(dlsym(handle, "reasonrec_cuda_table"));
  out.table = entry ? entry(kAbi) : nullptr;
  if (!out.table) {
    dlclose(handle);
    out.reason = path + " was built for another version: npm run build:cuda";
    return out;
  }
  find_device(out);
  return out;
}

const Library& library() {
  static const Library found = open_library(library_path());
  return found;
}
#endif

}  // namespace reasonrec::cuda
