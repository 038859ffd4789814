// Pictures, from files to what a model takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kqat::image {

// Bytes in the order [height, width, channels].
struct Image {
  int height = 0;
  int width = 0;
  int channels = 0;
  std::vector<uint8_t> values;
};

// Decodes PNG, JPEG, BMP, and binary PGM or PPM, in a process of its own: the decoder that Debian 12 packages reads
// outside of its tables on some damaged JPEG files.
//
// Throws Error: the bytes are none of these, are damaged or cut off, or larger than 16384 by 16384.
Image Decode(const std::vector<uint8_t>& bytes);

// Returns the picture with 1 or 3 channels: alpha is dropped, gray repeated, color weighed as ITU-R 601-2 does.
//
// Throws Error: any other number of channels is asked for.
Image WithChannels(Image image, int channels);

// Returns real values [height, width, channels] at another size, bilinear between pixel centers, without smoothing when
// it becomes smaller: what tf.image.resize does by default.
std::vector<float> Resize(const Image& image, int height, int width);

}  // namespace kqat::image
