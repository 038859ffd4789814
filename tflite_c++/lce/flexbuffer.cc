#include "lce/flexbuffer.h"

#include <cstring>
#include <limits>

#include "errors/error.h"

namespace kqat::lce {
namespace {

// A packed type is a type, times four, and the logarithm of the width of what a value takes.
enum Type { kInt = 1, kUInt = 2, kIndirectInt = 6, kIndirectUInt = 7, kMap = 9, kBool = 26 };

constexpr size_t kMostOptions = 1024;

[[noreturn]] void Damaged() {
  throw Error("The options of a binary operator are damaged. Received: no FlexBuffers map. Use a file that LCE wrote.");
}

// Bytes, read by positions that are checked. Offsets point backwards.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  size_t size() const { return size_; }

  uint64_t Unsigned(size_t at, size_t width) const {
    if ((width != 1 && width != 2 && width != 4 && width != 8) || at > size_ || width > size_ - at) Damaged();
    uint64_t value = 0;
    for (size_t i = 0; i < width; ++i) value |= static_cast<uint64_t>(data_[at + i]) << (8 * i);
    return value;
  }

  int64_t Signed(size_t at, size_t width) const {
    const size_t unused = 64 - 8 * width;
    return static_cast<int64_t>(Unsigned(at, width) << unused) >> unused;
  }

  // Returns where the offset at a position leads.
  size_t Follow(size_t at, size_t width) const {
    const uint64_t offset = Unsigned(at, width);
    if (offset > at) Damaged();
    return at - static_cast<size_t>(offset);
  }

  std::string Key(size_t at) const {
    const void* end = at < size_ ? std::memchr(data_ + at, 0, size_ - at) : nullptr;
    if (end == nullptr) Damaged();
    return std::string(reinterpret_cast<const char*>(data_ + at));
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

size_t Width(uint64_t packed_type) { return size_t{1} << (packed_type & 3u); }

// Adds an entry whose value lies at a position, if it is a whole number.
void AddValue(const Bytes& bytes, const std::string& key, size_t at, size_t width, uint64_t packed_type,
              Options* options) {
  switch (packed_type >> 2) {
    case kInt:
      (*options)[key] = bytes.Signed(at, width);
      break;
    case kUInt:
    case kBool:
      (*options)[key] = static_cast<int64_t>(bytes.Unsigned(at, width));
      break;
    case kIndirectInt:
      (*options)[key] = bytes.Signed(bytes.Follow(at, width), Width(packed_type));
      break;
    case kIndirectUInt:
      (*options)[key] = static_cast<int64_t>(bytes.Unsigned(bytes.Follow(at, width), Width(packed_type)));
      break;
    default:
      break;
  }
}

// A map: [offset of keys, width of keys, size], then values, then a byte for the type of each.
Options ReadMap(const Bytes& bytes, size_t map, size_t width) {
  if (map < 3 * width) Damaged();
  const uint64_t count = bytes.Unsigned(map - width, width);
  const uint64_t key_width = bytes.Unsigned(map - 2 * width, width);
  const size_t keys = bytes.Follow(map - 3 * width, width);
  if (count > kMostOptions || key_width > 8) Damaged();
  Options options;
  for (size_t i = 0; i < count; ++i) {
    const size_t key_at = keys + i * static_cast<size_t>(key_width);
    const std::string key = bytes.Key(bytes.Follow(key_at, static_cast<size_t>(key_width)));
    const uint64_t type = bytes.Unsigned(map + static_cast<size_t>(count) * width + i, 1);
    AddValue(bytes, key, map + i * width, width, type, &options);
  }
  return options;
}

}  // namespace

Options ReadOptions(const uint8_t* data, size_t size) {
  const Bytes bytes(data, size);
  if (size < 3) Damaged();
  const size_t root_width = static_cast<size_t>(bytes.Unsigned(size - 1, 1));
  const uint64_t type = bytes.Unsigned(size - 2, 1);
  if (type >> 2 != kMap || root_width > size - 2) Damaged();
  return ReadMap(bytes, bytes.Follow(size - 2 - root_width, root_width), Width(type));
}

int OptionOf(const Options& options, const std::string& name) {
  const auto found = options.find(name);
  if (found == options.end()) {
    throw Error("A binary operator lacks an option. Received: no " + name + ". Use a file that LCE wrote.");
  }
  if (found->second < std::numeric_limits<int>::min() || found->second > std::numeric_limits<int>::max()) {
    throw Error("An option of a binary operator is too large. Received: " + name + "=" +
                std::to_string(found->second) + ". Use a file that LCE wrote.");
  }
  return static_cast<int>(found->second);
}

}  // namespace kqat::lce
