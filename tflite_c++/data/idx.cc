#include "data/idx.h"

#include <string>
#include <utility>

#include "data/gzip.h"
#include "errors/error.h"

namespace kqat::data {
namespace {

constexpr uint8_t kBytes = 0x08;
constexpr size_t kHead = 4;

uint32_t BigEndian(const uint8_t* b) {
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | uint32_t{b[3]};
}

}  // namespace

bool LooksLikeIdx(const std::vector<uint8_t>& bytes) {
  return IsGzip(bytes) || (bytes.size() >= kHead && bytes[0] == 0 && bytes[1] == 0);
}

Idx ReadIdx(std::vector<uint8_t> bytes) {
  if (IsGzip(bytes)) bytes = Gunzip(bytes);
  Require(bytes.size() >= kHead && bytes[0] == 0 && bytes[1] == 0,
          "This is not an IDX file. Received: another beginning. Use files like train-images-idx3-ubyte.gz.");
  Require(bytes[2] == kBytes, "An IDX file must hold bytes. Received: another type. Use type 0x08.");
  const size_t rank = bytes[3], header = kHead + 4 * rank;
  Require(rank > 0 && bytes.size() >= header,
          "The IDX file ends within its header. Received: too few bytes. Copy it again.");
  Idx idx;
  uint64_t count = 1;
  for (size_t i = 0; i < rank; ++i) {
    idx.shape.push_back(BigEndian(&bytes[kHead + 4 * i]));
    count *= idx.shape.back();
    // The product stays far below 2^64, since it is cut off as soon as it exceeds the file.
    if (count > bytes.size()) break;
  }
  if (idx.shape.size() != rank || count != bytes.size() - header) {
    throw Error("The IDX file states another size than it has. Received: " + std::to_string(bytes.size() - header) +
                " bytes of data. Copy it again.");
  }
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header));  // no second copy
  idx.values = std::move(bytes);
  return idx;
}

}  // namespace kqat::data
