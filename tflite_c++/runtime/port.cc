#include "runtime/port.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "errors/error.h"
#include "flatbuffer/schema.h"
#include "litert/c_api.h"

namespace kqat::runtime {
namespace {

template <typename T>
void Quantize(const Port& port, const float* values, size_t count, void* stored) {
  constexpr float kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  const float inverse = 1.0f / port.scale;
  T* codes = static_cast<T*>(stored);
  for (size_t i = 0; i < count; ++i) {
    const float level = std::nearbyint(values[i] * inverse) + static_cast<float>(port.zero_point);
    // Comparisons in this order turn a value that is not a number into the lowest code.
    codes[i] = static_cast<T>(level > kLow ? std::min(level, kHigh) : kLow);
  }
}

template <typename T>
std::vector<float> Dequantize(const Port& port, const void* stored, size_t count) {
  const T* codes = static_cast<const T*>(stored);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    const float code = static_cast<float>(codes[i]);
    values[i] = port.scale > 0 ? (code - static_cast<float>(port.zero_point)) * port.scale : code;
  }
  return values;
}

[[noreturn]] void Refuse(const Port& port, const char* how) {
  throw Error("'" + port.name + "' cannot be " + how + " as real numbers. Received: a tensor of type " +
              schema::NameOf(port.type) + ". Use float32, or int8, uint8 or int16 with a scale.");
}

}  // namespace

size_t Port::SampleValues() const {
  size_t count = 1;
  for (size_t i = 1; i < shape.size(); ++i) count *= static_cast<size_t>(shape[i]);
  return count;
}

size_t Port::SampleBytes() const { return SampleValues() * static_cast<size_t>(schema::BitsOf(type)) / 8; }

size_t Port::Bytes() const { return flatbuffer::CountOf(shape) * static_cast<size_t>(schema::BitsOf(type)) / 8; }

void Port::Encode(const float* values, size_t count, void* stored) const {
  if (type == schema::kFloat32) {
    std::memcpy(stored, values, count * sizeof(float));
    return;
  }
  if (!(scale > 0)) Refuse(*this, "given");
  switch (type) {
    case schema::kInt8:
      return Quantize<int8_t>(*this, values, count, stored);
    case schema::kUInt8:
      return Quantize<uint8_t>(*this, values, count, stored);
    case schema::kInt16:
      return Quantize<int16_t>(*this, values, count, stored);
    default:
      Refuse(*this, "given");
  }
}

std::vector<float> Port::Decode(const void* stored, size_t count) const {
  switch (type) {
    case schema::kFloat32: {
      const float* values = static_cast<const float*>(stored);
      return {values, values + count};
    }
    case schema::kInt8:
      return Dequantize<int8_t>(*this, stored, count);
    case schema::kUInt8:
      return Dequantize<uint8_t>(*this, stored, count);
    case schema::kInt16:
      return Dequantize<int16_t>(*this, stored, count);
    case schema::kInt32:
      return Dequantize<int32_t>(*this, stored, count);
    default:
      Refuse(*this, "read");
  }
}

Port MakePort(const flatbuffer::Tensor& tensor, std::string name) {
  Port port;
  port.name = std::move(name);
  port.shape = tensor.shape;
  port.first = tensor.shape.empty() ? 0 : tensor.shape[0];
  port.type = tensor.type;
  port.resizable = !tensor.signature.empty() && tensor.signature[0] == -1;
  if (tensor.quantization.scale.size() == 1) {
    port.scale = tensor.quantization.scale[0];
    const auto& points = tensor.quantization.zero_point;
    port.zero_point = points.empty() ? 0 : static_cast<int32_t>(points[0]);
  }
  if (schema::BitsOf(port.type) < 8 || port.shape.size() > kLiteRtTensorMaxRank) {
    throw Error("'" + port.name + "' cannot be an input or output. Received: type " + schema::NameOf(port.type) +
                ", " + std::to_string(port.shape.size()) +
                " dimensions. Use numbers of whole bytes and at most 8 dimensions.");
  }
  return port;
}

}  // namespace kqat::runtime
