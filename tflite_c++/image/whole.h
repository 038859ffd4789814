// Whether a file of a picture is all there.
#pragma once

#include <cstdint>
#include <vector>

namespace kqat::image {

// Throws Error: a PGM, PPM, BMP or JPEG file is cut off, for which the decoder fills in pixels of its own.
//
// Any other bytes are left to the decoder.
void RequireWhole(const std::vector<uint8_t>& bytes);

}  // namespace kqat::image
