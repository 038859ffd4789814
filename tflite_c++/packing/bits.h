// Whole numbers of 1, 2 or 4 bits to bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kqat::packing {

// Returns how many bytes `count` values of `bits` bits take.
constexpr uint64_t PackedSize(uint64_t count, int bits) { return (count * static_cast<uint64_t>(bits) + 7) / 8; }

// Writes `count` values of 1, 2 or 4 bits as int8, the first from the lowest bits of the first byte. With one bit, 1
// stands for -1 and 0 for +1; others are in two's complement.
//
// Returns whether the unused bits behind the last value are 0, as they have to be.
bool Unpack(const uint8_t* packed, int bits, size_t count, int8_t* values);

}  // namespace kqat::packing
