#include "data/labels.h"

#include <sstream>

#include "errors/error.h"
#include "files/file.h"

namespace kqat::data {

std::vector<std::string> ReadLabels(const std::string& path) {
  const std::vector<uint8_t> bytes = files::ReadFile(path);
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> labels;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    labels.push_back(line);
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  Require(!labels.empty(), "The file of labels is empty. Received: no line. Use one name of a class per line.");
  return labels;
}

}  // namespace kqat::data
