#include "data/labels.h"

#include <sstream>

#include "errors/error.h"
#include "files/file.h"

namespace kqat::data {
namespace {

// A label is printed to a terminal, which obeys control characters: those of ASCII, and the two-byte ones of UTF-8.
std::string Printable(const std::string& line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    const auto next = static_cast<unsigned char>(i + 1 < line.size() ? line[i + 1] : 0);
    const bool two = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    // On its own, a byte of 0x80 to 0x9F is a control character to terminals that do not read UTF-8.
    text += byte < 0x20 || byte == 0x7F || two ? '?' : line[i];
    i += two;
  }
  return text;
}

}  // namespace

std::vector<std::string> ReadLabels(const std::string& path) {
  const std::vector<uint8_t> bytes = files::ReadFile(path);
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> labels;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    labels.push_back(Printable(line));
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  Require(!labels.empty(), "The file of labels is empty. Received: no line. Use one name of a class per line.");
  return labels;
}

}  // namespace kqat::data
