#include "flatbuffer/patch.h"

#include <limits>
#include <string>

#include "errors/error.h"

namespace kqat::flatbuffer {
namespace {

constexpr size_t kAlignment = 16;  // what the schema asks for constant data
constexpr size_t kLargest = std::numeric_limits<int32_t>::max();

}  // namespace

size_t Patch::AppendRaw(size_t size, size_t alignment) {
  const size_t position = (bytes_.size() + alignment - 1) / alignment * alignment;
  if (size > kLargest || position > kLargest - size) {
    throw Error("The file is too large. Received: more than 2 GiB with its weights expanded. Use a smaller model.");
  }
  bytes_.resize(position + size);
  return position;
}

size_t Patch::AppendBytes(size_t size) {
  // The length lies in the 4 bytes before the first element, which is the one to be aligned.
  const size_t length = AppendRaw(kAlignment + size, kAlignment) + kAlignment - sizeof(uint32_t);
  Set<uint32_t>(length, static_cast<uint32_t>(size));
  return length;
}

size_t Patch::AppendNumbers(const std::vector<int32_t>& values) {
  const size_t size = values.size() * sizeof(int32_t);
  const size_t position = AppendRaw(sizeof(uint32_t) + size, sizeof(uint32_t));
  Set<uint32_t>(position, static_cast<uint32_t>(values.size()));
  if (size) std::memcpy(At(position + sizeof(uint32_t)), values.data(), size);
  return position;
}

size_t Patch::AppendString(std::string_view text) {
  const size_t position = AppendRaw(sizeof(uint32_t) + text.size() + 1, sizeof(uint32_t));
  Set<uint32_t>(position, static_cast<uint32_t>(text.size()));
  if (!text.empty()) std::memcpy(At(position + sizeof(uint32_t)), text.data(), text.size());
  return position;
}

void Patch::Point(size_t position, size_t target) {
  CheckInside(position, sizeof(uint32_t));
  CheckInside(target, 1);
  if (target <= position) throw Error("A patch would point backwards. Received: an old target. Append the data first.");
  Set<uint32_t>(position, static_cast<uint32_t>(target - position));
}

void Patch::CheckInside(size_t position, size_t size) const {
  if (position <= bytes_.size() && size <= bytes_.size() - position) return;
  throw Error("A patch lies outside of the file. Received: position " + std::to_string(position) + " of " +
              std::to_string(bytes_.size()) + " bytes. Use positions that the reader returned.");
}

}  // namespace kqat::flatbuffer
