#include "runtime/open.h"

#include "errors/error.h"
#include "files/file.h"
#include "flatbuffer/schema.h"
#include "flatbuffer/structure.h"
#include "packing/expand.h"
#include "runtime/rehearsal.h"

namespace kqat::runtime {
namespace {

constexpr char kBinaryPrefix[] = "Lce";

// Whether a file holds operators of Larq Compute Engine; checks the file.
bool HasBinaryOperators(const std::vector<uint8_t>& bytes) {
  const flatbuffer::View view(bytes.data(), bytes.size());
  const flatbuffer::Model model = flatbuffer::ReadModel(view);
  CheckStructure(model);
  for (const flatbuffer::OperatorCode& code : model.codes) {
    if (code.builtin == schema::kCustom && code.custom.rfind(kBinaryPrefix, 0) == 0) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Runtime> Open(const std::string& path, const OpenOptions& options) {
  return OpenBytes(files::ReadFile(path), options);
}

std::unique_ptr<Runtime> OpenBytes(std::vector<uint8_t> bytes, const OpenOptions& options) {
  bytes = packing::Expand(std::move(bytes));
  Settings settings{options.threads, {}};
  if (HasBinaryOperators(bytes)) {
    Require(options.lcompute,
            "The file holds binary operators. Received: operators of Larq Compute Engine. Use --lcompute 1.");
  }
  if (!options.trust) Rehearse(bytes, settings);
  return std::make_unique<Runtime>(std::move(bytes), settings);
}

}  // namespace kqat::runtime
