// Names of classes.
#pragma once

#include <string>
#include <vector>

namespace kqat::data {

// Returns the lines of a text file, with '?' for control characters; blank ones at the end do not count.
//
// Throws Error: the file cannot be read or has no lines.
std::vector<std::string> ReadLabels(const std::string& path);

}  // namespace kqat::data
