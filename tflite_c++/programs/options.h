// Options of the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace kqat::programs {

// Whole numbers from 0 up: a minus or too many digits would be read as a number close to 2^64.
inline CLI::Validator Count() {
  constexpr size_t kDigits = 9;
  return CLI::Validator(
      [](std::string& text) {
        const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        if (digits && text.size() <= kDigits) return std::string();
        return "Received: " + text + ". Use a whole number from 0 to 999999999.";
      },
      "COUNT");
}

}  // namespace kqat::programs
