// Reads of a file's bytes that stay within them, whatever the file says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kqat::flatbuffer {

// Bytes within a file: where they start and how many there are.
struct Range {
  size_t position = 0;
  size_t size = 0;
};

// The bytes of a file. Does not own them.
class View {
 public:
  View(const uint8_t* data, size_t size);

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // Throws Error unless `size` bytes lie at `position`.
  void Require(size_t position, size_t size) const;

  // Returns the number at a position, which need not be aligned.
  template <typename T>
  T Number(size_t position) const {
    static_assert(std::is_arithmetic_v<T>);
    Require(position, sizeof(T));
    T value;
    std::memcpy(&value, data_ + position, sizeof(T));
    return value;
  }

  // Returns where the elements of a vector lie, given the position of its length.
  Range Elements(size_t position, size_t element_size) const;

  // Counts bytes that are copied out of the file. Tables may share vectors, so that a small file can ask for more
  // memory than there is: throws Error once far more was copied than the file has.
  void Charge(size_t bytes) const;

 private:
  const uint8_t* data_;
  size_t size_;
  mutable size_t budget_;
};

}  // namespace kqat::flatbuffer
