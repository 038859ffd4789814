// The IDX format of MNIST and its relatives, compressed with gzip or not.
#pragma once

#include <cstdint>
#include <vector>

namespace kqat::data {

// Bytes with a shape.
struct Idx {
  std::vector<uint32_t> shape;
  std::vector<uint8_t> values;
};

// Whether bytes begin like an IDX file, or like gzip.
bool LooksLikeIdx(const std::vector<uint8_t>& bytes);

// Throws Error: the bytes are not gzip or not whole, not IDX, not of bytes, or their number is not what they state.
Idx ReadIdx(std::vector<uint8_t> bytes);

}  // namespace kqat::data
