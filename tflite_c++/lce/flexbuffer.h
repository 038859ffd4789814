// The options of LCE's operators: a FlexBuffers map from names to whole numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace kqat::lce {

using Options = std::map<std::string, int64_t>;

// Reads such a map. Values of other types are left out.
//
// Throws Error: the bytes are no FlexBuffers map, or point outside of themselves.
Options ReadOptions(const uint8_t* data, size_t size);

// Returns an option that has to be there and to fit `int`.
//
// Throws Error: it is missing or does not fit.
int OptionOf(const Options& options, const std::string& name);

}  // namespace kqat::lce
