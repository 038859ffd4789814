// Everything that reads a .tflite file before LiteRT does.

#include "errors/error.h"
#include "flatbuffer/structure.h"
#include "packing/expand.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::vector<uint8_t> bytes = kqat::packing::Expand({data, data + size});
    const kqat::flatbuffer::View view(bytes.data(), bytes.size());
    CheckStructure(kqat::flatbuffer::ReadModel(view));
  } catch (const kqat::Error&) {
  }
  return 0;
}
