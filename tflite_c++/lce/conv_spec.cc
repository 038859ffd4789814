#include "lce/conv_spec.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "errors/error.h"

namespace kqat::lce {
namespace {

constexpr int kLimit = 1 << 20;  // of sizes, strides and dilations: products of a few stay within 64 bits

void CheckSize(const char* name, int value) {
  if (value >= 1 && value <= kLimit) return;
  throw Error(std::string("Not a size that a binary convolution can have. Received: ") + name + "=" +
              std::to_string(value) + ". Use 1 to " + std::to_string(kLimit) + ".");
}

void CheckSizes(const ConvSpec& spec) {
  CheckSize("channels_in", spec.channels_in);
  CheckSize("channels_out", spec.channels_out);
  CheckSize("kernel_height", spec.kernel_height);
  CheckSize("kernel_width", spec.kernel_width);
  CheckSize("stride_height", spec.stride_height);
  CheckSize("stride_width", spec.stride_width);
  CheckSize("dilation_height_factor", spec.dilation_height);
  CheckSize("dilation_width_factor", spec.dilation_width);
  CheckSize("groups", spec.groups);
  const int64_t taps = static_cast<int64_t>(spec.kernel_height) * spec.kernel_width;
  // Twice the count has to fit 32 bits, as in LCE.
  if (taps <= kLimit && taps * spec.channels_in < std::numeric_limits<int32_t>::max() / 2) return;
  throw Error("A binary convolution sums up too many products. Received: kernel " +
              std::to_string(spec.kernel_height) + "x" + std::to_string(spec.kernel_width) + " over " +
              std::to_string(spec.channels_in) + " channels. Use less than 2^30 in all.");
}

void CheckGroups(const ConvSpec& spec) {
  if (spec.groups == 1) return;
  if (spec.words_in() % spec.groups == 0 && spec.channels_in % spec.groups == 0 &&
      spec.channels_in / spec.groups % 32 == 0 && spec.channels_out % spec.groups == 0) {
    return;
  }
  throw Error("The groups of a binary convolution do not divide its channels. Received: " +
              std::to_string(spec.channels_in) + " channels in, " + std::to_string(spec.channels_out) +
              " out, groups=" + std::to_string(spec.groups) + ". Use groups of a multiple of 32 input channels.");
}

void CheckConstants(const ConvSpec& spec) {
  const size_t channels = static_cast<size_t>(spec.channels_out);
  Require(spec.filter.size() == channels * spec.window_words(),
          "The filter of a binary convolution has another size than its shape says. Use a file that LCE wrote.");
  const bool bits = spec.output == Output::kBits;
  const bool fit = bits ? spec.threshold.size() == channels
                        : spec.multiplier.size() == channels && spec.bias.size() == channels;
  Require(fit, bits ? "A binary convolution needs one threshold a channel to give bits. Use a file that LCE wrote."
                    : "A binary convolution needs one multiplier and one bias a channel. Use a file that LCE wrote.");
  Require(spec.output != Output::kInt8 || (std::isfinite(spec.scale) && spec.scale > 0.0f),
          "An int8 output needs a positive scale. Use a file that LCE wrote.");
}

// LCE's two ways with zeros: floats are corrected after the transformation, whatever the number of channels; counts
// before it, by half of the channels a pixel.
void CheckPadding(const ConvSpec& spec) {
  if (!spec.zero_padded() || spec.channels_in / spec.groups % 2 == 0) return;
  if (spec.output == Output::kFloat && spec.activation == Activation::kNone) return;
  throw Error("Zeros cannot pad an odd number of channels here. Received: " + std::to_string(spec.channels_in) +
              " channels. Use pad_values=1, or a float output without activation.");
}

void ActivationRange(Activation activation, int32_t* low, int32_t* high) {
  *low = activation == Activation::kNone ? std::numeric_limits<int32_t>::lowest()
                                         : (activation == Activation::kReluN1To1 ? -1 : 0);
  *high = activation == Activation::kReluN1To1 ? 1
          : activation == Activation::kRelu6   ? 6
                                               : std::numeric_limits<int32_t>::max();
}

}  // namespace

void Check(const ConvSpec& spec) {
  CheckSizes(spec);
  CheckGroups(spec);
  CheckConstants(spec);
  CheckPadding(spec);
}

Folded Fold(const ConvSpec& spec) {
  const int32_t products = static_cast<int32_t>(spec.window_bits());
  const bool int8 = spec.output == Output::kInt8;
  const double scale = int8 ? spec.scale : 1.0;
  const double zero_point = int8 ? spec.zero_point : 0.0;
  Folded folded;
  for (size_t c = 0; c < spec.multiplier.size(); ++c) {
    const double multiplier = spec.multiplier[c], bias = spec.bias[c];
    folded.multiplier.push_back(static_cast<float>(-1 * multiplier / scale));
    folded.bias.push_back(
        static_cast<float>((bias + static_cast<double>(products) * multiplier) / scale + zero_point));
  }
  int32_t low, high;
  ActivationRange(spec.activation, &low, &high);
  folded.low = products - std::min(high, products);
  folded.high = products - std::max(low, -products);
  return folded;
}

}  // namespace kqat::lce
