// Files compressed with gzip.
#pragma once

#include <cstdint>
#include <vector>

namespace kqat::data {

bool IsGzip(const std::vector<uint8_t>& bytes);

// Throws Error: the bytes are damaged or cut off, or more than 1 GiB uncompressed.
std::vector<uint8_t> Gunzip(const std::vector<uint8_t>& bytes);

}  // namespace kqat::data
