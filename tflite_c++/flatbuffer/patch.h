// Changes to a file without writing it anew: numbers in place, new data at the end.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kqat::flatbuffer {

// The bytes of a file that is being changed. Positions of the old contents stay valid; offsets in FlatBuffers point
// forward, so that everything old can be made to point at what is appended.
class Patch {
 public:
  explicit Patch(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}

  const std::vector<uint8_t>& bytes() const { return bytes_; }
  std::vector<uint8_t> Take() { return std::move(bytes_); }

  // Overwrites the number at a position that `Table::Find` returned.
  template <typename T>
  void Set(size_t position, T value) {
    static_assert(std::is_arithmetic_v<T>);
    CheckInside(position, sizeof(T));
    std::memcpy(bytes_.data() + position, &value, sizeof(T));
  }

  // Appends a vector of bytes, its first element aligned; returns its position. Fill it through `At`.
  size_t AppendBytes(size_t size);
  size_t AppendNumbers(const std::vector<int32_t>& values);
  size_t AppendString(std::string_view text);

  // Appends zeros at an alignment and returns their position, for tables that are put together by hand.
  size_t AppendRaw(size_t size, size_t alignment);

  uint8_t* At(size_t position) { return bytes_.data() + position; }

  // Makes the offset at `position` (a field of a table or an entry of a vector of tables) point to `target`.
  void Point(size_t position, size_t target);

 private:
  void CheckInside(size_t position, size_t size) const;

  std::vector<uint8_t> bytes_;
};

}  // namespace kqat::flatbuffer
