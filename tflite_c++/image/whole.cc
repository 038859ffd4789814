#include "image/whole.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "errors/error.h"

namespace kqat::image {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kLargest = uint64_t{1} << 24;  // a width or height, far above what the decoder takes
constexpr size_t kBitmapHeader = 54;

bool Starts(const Bytes& bytes, const Bytes& magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

uint64_t LittleEndian(const Bytes& bytes, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

void Require(bool whole, const Bytes& bytes, const std::string& what) {
  if (whole) return;
  throw Error("The picture is cut off. Received: " + what + " of " + std::to_string(bytes.size()) +
              " bytes, too few for its pixels. Copy it again.");
}

// The numbers in the head of a PGM or PPM file, with spaces and comments between them.
class NetpbmHead {
 public:
  explicit NetpbmHead(const Bytes& bytes) : bytes_(bytes) {}

  uint64_t Number() {
    while (at_ < bytes_.size() && (std::isspace(bytes_[at_]) || bytes_[at_] == '#')) {
      if (bytes_[at_] == '#') {
        while (at_ < bytes_.size() && bytes_[at_] != '\n' && bytes_[at_] != '\r') ++at_;
      } else {
        ++at_;
      }
    }
    uint64_t value = 0;
    for (; at_ < bytes_.size() && std::isdigit(bytes_[at_]); ++at_) {
      value = std::min(value * 10 + (bytes_[at_] - '0'), kLargest);
    }
    return value;
  }

  // What follows the one character behind the last number.
  uint64_t Rest() const { return bytes_.size() - std::min(bytes_.size(), at_ + 1); }

 private:
  const Bytes& bytes_;
  size_t at_ = 2;
};

void RequireWholeNetpbm(const Bytes& bytes) {
  NetpbmHead head(bytes);
  const uint64_t width = head.Number(), height = head.Number(), largest = head.Number();
  const uint64_t size = (bytes[1] == '6' ? 3 : 1) * (largest > 255 ? 2 : 1);
  Require(head.Rest() >= width * height * size, bytes, "a PGM or PPM file");
}

void RequireWholeBitmap(const Bytes& bytes) {
  Require(bytes.size() >= kBitmapHeader || (bytes.size() >= 26 && bytes[14] == 12), bytes, "a BMP file");
  if (bytes[14] == 12) {  // OS/2: 16-bit sizes
    const uint64_t row = (LittleEndian(bytes, 18, 2) * LittleEndian(bytes, 24, 2) + 31) / 32 * 4;
    Require(LittleEndian(bytes, 10, 4) + row * LittleEndian(bytes, 20, 2) <= bytes.size(), bytes, "a BMP file");
    return;
  }
  const auto width = static_cast<int32_t>(LittleEndian(bytes, 18, 4));
  const auto height = static_cast<int64_t>(static_cast<int32_t>(LittleEndian(bytes, 22, 4)));
  const uint64_t bits = LittleEndian(bytes, 28, 2), compression = LittleEndian(bytes, 30, 4);
  if (width <= 0 || bits > 32 || (compression != 0 && compression != 3)) return;  // the decoder refuses it
  const uint64_t row = (static_cast<uint64_t>(width) * bits + 31) / 32 * 4;
  const uint64_t rows = static_cast<uint64_t>(height < 0 ? -height : height);
  Require(LittleEndian(bytes, 10, 4) + row * rows <= bytes.size(), bytes, "a BMP file");
}

// Walks the segments up to the pixels; behind them there must be the marker of the end.
void RequireWholeJpeg(const Bytes& bytes) {
  size_t at = 2;
  while (at + 4 <= bytes.size() && bytes[at] == 0xFF && bytes[at + 1] != 0xDA) {
    if (bytes[at + 1] == 0xFF) {  // a byte that only fills
      ++at;
      continue;
    }
    at += 2 + (size_t{bytes[at + 2]} << 8 | bytes[at + 3]);
  }
  const Bytes end = {0xFF, 0xD9};
  const auto start = bytes.begin() + static_cast<std::ptrdiff_t>(std::min(at, bytes.size()));
  Require(std::search(start, bytes.end(), end.begin(), end.end()) != bytes.end(), bytes, "a JPEG file");
}

}  // namespace

void RequireWhole(const std::vector<uint8_t>& bytes) {
  if (Starts(bytes, {'P', '5'}) || Starts(bytes, {'P', '6'})) RequireWholeNetpbm(bytes);
  if (Starts(bytes, {'B', 'M'})) RequireWholeBitmap(bytes);
  if (Starts(bytes, {0xFF, 0xD8})) RequireWholeJpeg(bytes);
}

}  // namespace kqat::image
