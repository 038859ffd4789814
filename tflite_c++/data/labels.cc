#include "data/labels.h"

#include <algorithm>
#include <sstream>

#include "errors/error.h"
#include "files/file.h"

namespace kqat::data {
namespace {

// How many bytes the character at a place has in UTF-8; 0 where there is none, or one in more bytes than it needs.
size_t SequenceAt(const std::string& line, size_t at) {
  const auto byte = [&](size_t i) { return at + i < line.size() ? static_cast<unsigned char>(line[at + i]) : 0u; };
  const unsigned lead = byte(0);
  const size_t size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90)) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return size;
}

// A label is printed to a terminal, which obeys control characters: those of ASCII, the two-byte ones of UTF-8, and for
// terminals that do not read UTF-8 the bytes from 0x80 to 0x9F, where they are not a part of a character.
std::string Printable(const std::string& line) {
  std::string text;
  for (size_t i = 0; i < line.size();) {
    const auto byte = static_cast<unsigned char>(line[i]);
    const size_t size = SequenceAt(line, i);
    const bool ascii = byte < 0x20 || byte == 0x7F;
    const bool two = size == 2 && byte == 0xC2 && static_cast<unsigned char>(line[i + 1]) < 0xA0;
    const bool one = size == 0 && byte < 0xA0;
    const size_t step = std::max(size, size_t{1});
    text += ascii || two || one ? "?" : line.substr(i, step);
    i += step;
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
