#include "packing/bits.h"

#include <array>
#include <cstring>

namespace kqat::packing {
namespace {

// Returns the value of a code.
constexpr int8_t ValueOf(unsigned code, int bits) {
  if (bits == 1) return code ? -1 : 1;
  const int half = 1 << (bits - 1);
  return static_cast<int8_t>((static_cast<int>(code) ^ half) - half);
}

template <int kBits>
using Values = std::array<int8_t, 8 / kBits>;  // of one byte

template <int kBits>
std::array<Values<kBits>, 256> MakeTable() {
  std::array<Values<kBits>, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    for (unsigned i = 0; i < table[byte].size(); ++i) {
      table[byte][i] = ValueOf((byte >> (kBits * i)) & ((1u << kBits) - 1), kBits);
    }
  }
  return table;
}

template <int kBits>
bool UnpackBits(const uint8_t* packed, size_t count, int8_t* values) {
  static const std::array<Values<kBits>, 256> table = MakeTable<kBits>();
  constexpr size_t kEach = 8 / kBits;
  for (size_t i = 0; i < count / kEach; ++i) std::memcpy(values + i * kEach, table[packed[i]].data(), kEach);
  const size_t rest = count % kEach;
  if (rest == 0) return true;
  const uint8_t last = packed[count / kEach];
  std::memcpy(values + count - rest, table[last].data(), rest);
  return (last >> (rest * kBits)) == 0;
}

}  // namespace

bool Unpack(const uint8_t* packed, int bits, size_t count, int8_t* values) {
  if (bits == 1) return UnpackBits<1>(packed, count, values);
  return bits == 2 ? UnpackBits<2>(packed, count, values) : UnpackBits<4>(packed, count, values);
}

}  // namespace kqat::packing
