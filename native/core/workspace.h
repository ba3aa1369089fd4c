// Scratch memory that lives as long as a job's owner: named float buffers that only grow, so the
// steady state allocates nothing. An allocation failure is a typed error, never an abort.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/check.h"
#include "core/pages.h"

namespace reasonrec {

// 64-byte aligned array of floats. Contents are zero after (re)allocation, or undefined on request.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t n) { resize(n); }
  // Keeps nothing when it grows. Shrinking keeps the memory. zero = false: the caller writes every
  // element before it reads one.
  void resize(int64_t n, bool zero = true) {
    if (n > capacity_) {
      const size_t bytes = (size_t(n) * sizeof(float) + 63) / 64 * 64;
      const bool mapped = bytes >= kMappedFrom;
      data_.reset();  // first: a model that grows must not be there twice
      void* const memory = mapped ? map_pages(bytes) : std::aligned_alloc(64, bytes);
      data_ = std::unique_ptr<float, Free>(static_cast<float*>(memory), Free{mapped ? bytes : 0});
      if (!data_) {
        capacity_ = size_ = 0;
        throw Error("RR_OUT_OF_MEMORY", "allocation of " + std::to_string(bytes) + " bytes failed",
                    "", "", "lower the token budget or the number of live rows");
      }
      if (zero && !mapped) std::fill_n(data_.get(), bytes / sizeof(float), 0.0f);
      capacity_ = n;
    }
    size_ = n;
  }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  float& operator[](int64_t i) { return data_.get()[i]; }
  float operator[](int64_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    size_t mapped;  // bytes, 0: from the heap
    void operator()(float* p) const {
      if (mapped > 0)
        unmap_pages(p, mapped);
      else
        std::free(p);
    }
  };
  std::unique_ptr<float, Free> data_;
  int64_t size_ = 0, capacity_ = 0;
};

class Workspace {
 public:
  // The buffer of this name with at least n floats; valid until the next call with the same name.
  float* floats(std::string_view name, int64_t n) {
    auto found = buffers_.find(name);
    if (found == buffers_.end()) found = buffers_.try_emplace(std::string(name)).first;
    found->second.resize(n);
    return found->second.data();
  }
  int64_t bytes() const {
    int64_t total = 0;
    for (const auto& [name, b] : buffers_) total += b.size() * int64_t(sizeof(float));
    return total;
  }

 private:
  struct Hash {  // finds a view without making a string of it
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };
  std::unordered_map<std::string, Buffer, Hash, std::equal_to<>> buffers_;
};

}  // namespace reasonrec
