#include <limits>
#include <memory>
#include <string>

#include "errors/error.h"
#include "image/decode.h"
#include "image/stb.h"
#include "image/whole.h"

namespace kqat::image {

Image DecodeHere(const std::vector<uint8_t>& bytes) {
  Image image;
  Require(!bytes.empty(), "The picture cannot be decoded. Received: an empty file. Copy it again.");
  Require(bytes.size() <= static_cast<size_t>(std::numeric_limits<int>::max()),
          "The picture is too large. Received: a file of more than 2 GiB. Use a smaller one.");
  RequireWhole(bytes);
  const auto free_pixels = [](stbi_uc* pixels) { stbi_image_free(pixels); };
  const std::unique_ptr<stbi_uc, decltype(free_pixels)> pixels(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &image.width, &image.height, &image.channels,
                            0),
      free_pixels);
  if (!pixels) {
    throw Error("The picture cannot be decoded: " + std::string(stbi_failure_reason()) + ". Received: " +
                std::to_string(bytes.size()) + " bytes. Use a whole PNG, JPEG, BMP, PGM or PPM file.");
  }
  Require(image.width > 0 && image.height > 0,
          "The picture is empty. Received: a width or height of 0. Use a picture with pixels.");
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  image.values.assign(pixels.get(), pixels.get() + count * static_cast<size_t>(image.channels));
  return image;
}

}  // namespace kqat::image
