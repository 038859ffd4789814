// The decoder itself.
#pragma once

#include "image/image.h"

namespace kqat::image {

// Does what Decode does, in this process.
Image DecodeHere(const std::vector<uint8_t>& bytes);

}  // namespace kqat::image
