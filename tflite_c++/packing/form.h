// What makes a file a packed one; kqat_runtime/packing/form.py has the definition.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "flatbuffer/model.h"

namespace kqat::packing {

constexpr char kEntry[] = "kqat_packed";

// A tensor of floats of which the signs are stored, and one magnitude for each channel along an axis; -1 for one in all.
struct FloatSigns {
  int64_t tensor;
  int64_t axis;
  std::vector<float> magnitudes;
};

// What the metadata entry lists: bits by tensor index, the version that each operator code returns to, and floats.
struct Lists {
  std::vector<std::pair<int64_t, int64_t>> tensors;
  std::vector<std::pair<int64_t, int64_t>> versions;
  std::vector<FloatSigns> floats;
};

// Whether a file says that it is packed, also if it is damaged.
bool IsPacked(const std::vector<uint8_t>& bytes);

// Returns the size of the file proper, without the 16 bytes that vouch for it.
//
// Throws Error: it is not what was written.
size_t Unsealed(const std::vector<uint8_t>& bytes);

// Returns the contents of the metadata entry, which lies in a buffer of its own.
Lists ReadLists(const flatbuffer::Model& model);

// Throws Error with `problem` unless `condition` holds.
void RequireSound(bool condition, const char* problem);

}  // namespace kqat::packing
