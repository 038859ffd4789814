#include "runtime/open.h"

#include "errors/error.h"
#include "files/file.h"
#include "lce/rewrite.h"
#include "packing/expand.h"
#include "runtime/rehearsal.h"

namespace kqat::runtime {

std::unique_ptr<Runtime> Open(const std::string& path, const OpenOptions& options) {
  return OpenBytes(files::ReadFile(path), options);
}

std::unique_ptr<Runtime> OpenBytes(std::vector<uint8_t> bytes, const OpenOptions& options) {
  bytes = packing::Expand(std::move(bytes));
  lce::Rewritten rewritten = lce::Rewrite(std::move(bytes), options.threads);
  Require(rewritten.custom_ops.empty() || options.lcompute,
          "The file holds binary operators. Received: operators of Larq Compute Engine. Use --lcompute 1.");
  const Settings settings{options.threads, std::move(rewritten.custom_ops)};
  if (!options.trust) Rehearse(rewritten.bytes, settings);
  return std::make_unique<Runtime>(std::move(rewritten.bytes), settings);
}

}  // namespace kqat::runtime
