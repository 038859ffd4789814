#include "runtime/binding.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "errors/error.h"
#include "flatbuffer/schema.h"

namespace kqat::runtime {
namespace {

constexpr size_t kBehind = 64;  // XNNPACK reads whole vectors, up to 16 bytes past the end
constexpr std::align_val_t kAligned{kLiteRtHostMemoryAlignment};

LiteRtRankedTensorType TypeOf(const Port& port) {
  LiteRtRankedTensorType type{};
  type.element_type = ElementTypeOf(port.type);
  type.layout.rank = static_cast<unsigned>(port.shape.size()) & 0x7F;
  std::copy(port.shape.begin(), port.shape.end(), type.layout.dimensions);
  return type;
}

}  // namespace

void Binding::Free::operator()(uint8_t* memory) const { ::operator delete(memory, kAligned); }

Binding::Binding(const Port& port, size_t size) {
  memory_.reset(static_cast<uint8_t*>(::operator new(size + kBehind, kAligned)));
  std::memset(memory_.get(), 0, size + kBehind);
  const LiteRtRankedTensorType type = TypeOf(port);
  LiteRtTensorBuffer buffer = nullptr;
  litert::Check(litert::Api().CreateTensorBufferFromHostMemory(&type, memory_.get(), size, nullptr, &buffer),
                "take the memory of an input or output");
  buffer_.reset(buffer);
}

LiteRtElementType ElementTypeOf(int type) {
  switch (type) {
    case schema::kFloat32:
      return kLiteRtElementTypeFloat32;
    case schema::kInt8:
      return kLiteRtElementTypeInt8;
    case schema::kUInt8:
      return kLiteRtElementTypeUInt8;
    case schema::kInt16:
      return kLiteRtElementTypeInt16;
    case schema::kInt32:
      return kLiteRtElementTypeInt32;
    case schema::kInt64:
      return kLiteRtElementTypeInt64;
    case schema::kBool:
      return kLiteRtElementTypeBool;
    default:
      throw Error(std::string("This type cannot be an input or output. Received: ") + schema::NameOf(type) +
                  ". Use float32, bool, uint8 or int8 to int64.");
  }
}

}  // namespace kqat::runtime
