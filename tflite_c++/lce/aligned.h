// Memory that vector loads need not straddle a cache line for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace kqat::lce {

// Zeroed bytes that start on a cache line.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t size)
      : data_(static_cast<uint8_t*>(::operator new(size, std::align_val_t{kLine}))), size_(size) {
    std::memset(data_, 0, size);
  }
  ~AlignedBytes() { ::operator delete(data_, std::align_val_t{kLine}); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  AlignedBytes(AlignedBytes&& other) noexcept : data_(other.data_), size_(other.size_) { other.Release(); }
  AlignedBytes& operator=(AlignedBytes&& other) noexcept {
    if (this == &other) return *this;
    ::operator delete(data_, std::align_val_t{kLine});
    data_ = other.data_;
    size_ = other.size_;
    other.Release();
    return *this;
  }

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  static constexpr size_t kLine = 64;

  void Release() {
    data_ = nullptr;
    size_ = 0;
  }

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace kqat::lce
