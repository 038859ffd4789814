// Whole files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kqat::files {

// Throws Error: the file cannot be read.
std::vector<uint8_t> ReadFile(const std::string& path);

// Throws Error: the file cannot be written.
void WriteFile(const std::string& path, const void* data, size_t size);

}  // namespace kqat::files
