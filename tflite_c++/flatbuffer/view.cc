#include "flatbuffer/view.h"

#include <string>

#include "errors/error.h"

namespace kqat::flatbuffer {
namespace {

constexpr size_t kCopiesOfFile = 16;  // a sound file, whose tables share nothing but names, needs less than 2
constexpr size_t kLeast = 1 << 20;

}  // namespace

View::View(const uint8_t* data, size_t size) : data_(data), size_(size), budget_(kLeast + kCopiesOfFile * size) {}

void View::Require(size_t position, size_t size) const {
  if (position <= size_ && size <= size_ - position) return;
  throw Error("The .tflite file is cut off or damaged: " + std::to_string(size) + " bytes lie at " +
              std::to_string(position) + ". Received: " + std::to_string(size_) +
              " bytes. Copy or export the file again.");
}

Range View::Elements(size_t position, size_t element_size) const {
  const size_t size = Number<uint32_t>(position) * element_size;
  Require(position + sizeof(uint32_t), size);
  return {position + sizeof(uint32_t), size};
}

void View::Charge(size_t bytes) const {
  if (bytes > budget_) {
    throw Error("The .tflite file is damaged. Received: tables that share their contents without end. Copy or export "
                "it again.");
  }
  budget_ -= bytes;
}

}  // namespace kqat::flatbuffer
