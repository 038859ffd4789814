// Pictures and IDX files, and what a model makes of their sizes.

#include "data/idx.h"
#include "errors/error.h"
#include "image/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> bytes(data, data + size);
  try {
    if (kqat::data::LooksLikeIdx(bytes)) {
      kqat::data::ReadIdx(bytes);
    } else {
      kqat::image::Resize(kqat::image::WithChannels(kqat::image::Decode(bytes), 3), 8, 8);
    }
  } catch (const kqat::Error&) {
  }
  return 0;
}
