// What a file says about one binary convolution, and the numbers that follow from it.
#pragma once

#include <cstdint>
#include <vector>

#include "lce/axis.h"

namespace kqat::lce {

enum class Activation { kNone = 0, kRelu = 1, kReluN1To1 = 2, kRelu6 = 3 };
enum class Output { kFloat, kInt8, kBits };

// A node `LceBconv2d`. A bit 1 stands for -1, a bit 0 for +1; words of 32 bits run along the channels.
struct ConvSpec {
  int channels_in = 0;
  int channels_out = 0;
  int kernel_height = 0;
  int kernel_width = 0;
  int stride_height = 1;
  int stride_width = 1;
  int dilation_height = 1;
  int dilation_width = 1;
  int groups = 1;
  Padding padding = Padding::kValid;
  bool pad_with_one = false;  // else with zero, which no bit stands for
  Activation activation = Activation::kNone;
  Output output = Output::kFloat;
  float scale = 1.0f;  // of int8 outputs
  int zero_point = 0;
  std::vector<uint32_t> filter;      // [channels_out, kernel_height, kernel_width, words_in / groups]
  std::vector<float> multiplier;     // [channels_out], unless the output is bits
  std::vector<float> bias;           // likewise
  std::vector<int32_t> threshold;    // [channels_out], if the output is bits

  int words_in() const { return (channels_in + 31) / 32; }
  int words_per_group() const { return words_in() / groups; }
  int channels_per_group() const { return channels_out / groups; }
  int taps() const { return kernel_height * kernel_width; }
  int window_words() const { return taps() * words_per_group(); }
  // Products that make up one output.
  int64_t window_bits() const { return static_cast<int64_t>(taps()) * (channels_in / groups); }
  bool zero_padded() const { return padding == Padding::kSame && !pad_with_one; }
};

// Throws Error: sizes and constants do not belong together, or LCE has no kernel for them.
void Check(const ConvSpec& spec);

// y = clamp(2 * count, low, high) * multiplier + bias, with all of the back-transformation from counts to sums, and for
// int8 the output's grid, folded in: in double precision, then rounded.
struct Folded {
  std::vector<float> multiplier;
  std::vector<float> bias;
  int32_t low = 0;
  int32_t high = 0;
};
Folded Fold(const ConvSpec& spec);

}  // namespace kqat::lce
