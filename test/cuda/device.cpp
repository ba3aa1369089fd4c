// See device.h; the part that knows no kernel.
#include "device.h"

#include "core/bfloat16.h"

namespace reasonrec::test {

void call(int32_t error) {
  if (error != 0) throw Failure{std::string("CUDA: ") + device_table().error_text(error)};
}

DeviceBytes::DeviceBytes(int64_t bytes, const void* host) : bytes_(bytes) {
  call(device_table().allocate(&memory_, bytes));
  const std::vector<unsigned char> nan(host ? 0 : size_t(bytes), 0xFF);
  call(device_table().upload(nullptr, memory_, host ? host : nan.data(), bytes));
  call(device_table().stream_wait(nullptr));
}
DeviceBytes::DeviceBytes(DeviceBytes&& other) noexcept
    : memory_(other.memory_), bytes_(other.bytes_) {
  other.memory_ = nullptr;
}
DeviceBytes::~DeviceBytes() {
  if (memory_) device_table().release(memory_);
}
void DeviceBytes::download(void* host) const {
  call(device_table().download(nullptr, host, memory_, bytes_));
  call(device_table().stream_wait(nullptr));
}

static int64_t size_of(DataType type) { return type == kBF16 ? 2 : 4; }

// The values as they are stored.
static std::vector<char> stored(DataType type, const std::vector<float>& x) {
  std::vector<char> out(x.size() * size_t(size_of(type)));
  for (size_t i = 0; i < x.size(); ++i) {
    const uint16_t half = to_bfloat16(x[i]);
    if (type == kBF16)
      std::memcpy(out.data() + 2 * i, &half, 2);
    else
      std::memcpy(out.data() + 4 * i, &x[i], 4);
  }
  return out;
}

DeviceValues::DeviceValues(DataType type, int64_t n)
    : DeviceBytes(n * size_of(type)), type_(type) {}
DeviceValues::DeviceValues(DataType type, const std::vector<float>& host)
    : DeviceBytes(int64_t(host.size()) * size_of(type), stored(type, host).data()), type_(type) {}

std::vector<float> DeviceValues::host() const {
  std::vector<char> raw(static_cast<size_t>(bytes()));
  download(raw.data());
  std::vector<float> out(raw.size() / size_t(size_of(type_)));
  for (size_t i = 0; i < out.size(); ++i) {
    if (type_ == kBF16) {
      uint16_t half;
      std::memcpy(&half, raw.data() + 2 * i, 2);
      out[i] = from_bfloat16(half);
    } else {
      std::memcpy(&out[i], raw.data() + 4 * i, 4);
    }
  }
  return out;
}

std::vector<float> representable(std::vector<float> x, DataType type) {
  if (type == kBF16)
    for (float& v : x) v = from_bfloat16(to_bfloat16(v));
  return x;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& want, DataType type,
                 double absolute, double relative, const std::string& what) {
  expect(got.size() == want.size(), what + ": sizes");
  expect_close(got.data(), want.data(), int64_t(got.size()), absolute,
               relative + (type == kBF16 ? 3 * kBf16Rounding : 0), what + " in " + name_of(type));
}

}  // namespace reasonrec::test
