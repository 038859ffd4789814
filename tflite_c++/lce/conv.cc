#include "lce/conv.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "errors/error.h"

namespace kqat::lce {
namespace {

constexpr int64_t kMaxBytes = int64_t{1} << 31;
constexpr int64_t kMaxSide = 1 << 16;
constexpr int64_t kChunkPixels = 64;  // enough to use a block's weights well, few enough to share out

const ConvSpec& Checked(const ConvSpec& spec) {
  Check(spec);
  return spec;
}

// Returns the product of sizes that are not negative, or kMaxBytes + 1 if it is larger than kMaxBytes.
int64_t Product(std::initializer_list<int64_t> sizes) {
  int64_t product = 1;
  for (int64_t size : sizes) {
    if (size != 0 && product > kMaxBytes / size) return kMaxBytes + 1;
    product *= size;
  }
  return product;
}

}  // namespace

BinaryConv::BinaryConv(ConvSpec spec, Isa isa)
    : spec_(std::move(spec)), kernels_(KernelsFor(isa, Checked(spec_).window_bits())) {
  const Folded folded = Fold(spec_);
  low_ = folded.low;
  high_ = folded.high;
  for (int group = 0; group < spec_.groups; ++group) {
    const int begin = group * spec_.channels_per_group(), end = begin + spec_.channels_per_group();
    for (int c = begin; c < end; c += kBlock) blocks_.push_back(MakeBlock(group, c, std::min(kBlock, end - c), folded));
  }
}

BinaryConv::Block BinaryConv::MakeBlock(int group, int first, int channels, const Folded& folded) const {
  const int words = spec_.window_words();
  Block block{first, channels, static_cast<int64_t>(group) * spec_.words_per_group(),
              AlignedBytes(kernels_.packed_bytes(words)), {}, {}, {}};
  kernels_.pack(spec_.filter.data() + static_cast<size_t>(first) * words, channels, words, block.weights.data());
  const auto slice = [&](const auto& from, auto* to, auto rest) {
    to->assign(kBlock, rest);
    std::copy_n(from.begin() + first, channels, to->begin());
  };
  if (spec_.output == Output::kBits) {
    slice(spec_.threshold, &block.threshold, std::numeric_limits<int32_t>::max());
  } else {
    slice(folded.multiplier, &block.multiplier, 0.0f);
    slice(folded.bias, &block.bias, 0.0f);
  }
  return block;
}

void BinaryConv::Resize(int64_t batch, int64_t height, int64_t width) {
  if (batch == batch_ && height == rows_.in && width == columns_.in) return;
  if (batch < 0 || std::min(height, width) < 1 || std::max(height, width) > kMaxSide) {
    throw Error("A binary convolution cannot take images of this size. Received: " + std::to_string(height) + "x" +
                std::to_string(width) + ". Use sides of 1 to " + std::to_string(kMaxSide) + ".");
  }
  const Axis rows = Axis::Of(height, spec_.kernel_height, spec_.stride_height, spec_.dilation_height, spec_.padding);
  const Axis columns = Axis::Of(width, spec_.kernel_width, spec_.stride_width, spec_.dilation_width, spec_.padding);
  const int64_t in = Product({batch, rows.padded(), columns.padded(), spec_.words_in(), 4});
  const int64_t out = Product({std::max<int64_t>(batch, 1), rows.out, columns.out, spec_.channels_out, 4});
  if (in > kMaxBytes || out > kMaxBytes) {
    throw Error("A binary convolution on images of this size needs more than 2 GiB. Received: " +
                std::to_string(height) + "x" + std::to_string(width) + ", " + std::to_string(batch) +
                " at a time. Use smaller images or fewer.");
  }
  rows_ = rows;
  columns_ = columns;
  batch_ = batch;
  row_words_ = columns.padded() * spec_.words_in();
  image_words_ = rows.padded() * row_words_;
  const bool pads = rows.padded() != rows.in || columns.padded() != columns.in;
  padded_.clear();
  padded_words_ = static_cast<size_t>(pads ? batch * image_words_ : 0);
  FindRuns();
  zeros_ = spec_.zero_padded() ? ZeroPadding(spec_, rows, columns) : ZeroPadding();
}

// Neighbouring taps of a row are one run where nothing lies between their words.
void BinaryConv::FindRuns() {
  const bool joined = spec_.dilation_width == 1 && spec_.groups == 1;
  const int runs_per_row = joined ? 1 : spec_.kernel_width;
  run_words_ = spec_.words_per_group() * (joined ? spec_.kernel_width : 1);
  run_offset_.clear();
  for (int y = 0; y < spec_.kernel_height; ++y) {
    for (int x = 0; x < runs_per_row; ++x) {
      run_offset_.push_back(y * rows_.dilation * row_words_ + x * columns_.dilation * spec_.words_in());
    }
  }
}

int64_t BinaryConv::input_bytes() const { return batch_ * rows_.in * columns_.in * spec_.words_in() * 4; }

int64_t BinaryConv::output_bytes() const {
  return batch_ * rows_.out * columns_.out * output_depth() * (spec_.output == Output::kInt8 ? 1 : 4);
}

int64_t BinaryConv::output_depth() const {
  return spec_.output == Output::kBits ? (spec_.channels_out + 31) / 32 : spec_.channels_out;
}

void BinaryConv::Run(const uint32_t* input, void* output, ThreadPool& pool) {
  Pad(input, pool);
  const int64_t pixels = batch_ * rows_.out * columns_.out;
  pool.For((pixels + kChunkPixels - 1) / kChunkPixels, [&](int64_t chunk) {
    RunChunk(chunk * kChunkPixels, std::min(pixels, (chunk + 1) * kChunkPixels), output);
  });
}

// The frame around the images is written once, here: loading a file should not take the memory to run it.
void BinaryConv::Pad(const uint32_t* input, ThreadPool& pool) {
  source_ = input;
  if (padded_words_ == 0) return;
  if (padded_.empty()) padded_.assign(padded_words_, 0);
  source_ = padded_.data();
  const int64_t words = columns_.in * spec_.words_in();
  const int64_t lines = batch_ * rows_.in, lines_per_chunk = std::max<int64_t>(1, (int64_t{1} << 14) / words);
  pool.For((lines + lines_per_chunk - 1) / lines_per_chunk, [&](int64_t chunk) {
    const int64_t last = std::min(lines, (chunk + 1) * lines_per_chunk);
    for (int64_t line = chunk * lines_per_chunk; line < last; ++line) {
      uint32_t* to = padded_.data() + line / rows_.in * image_words_ + (line % rows_.in + rows_.before) * row_words_ +
                     columns_.before * spec_.words_in();
      std::copy_n(input + line * words, words, to);
    }
  });
}

BinaryConv::Pixel BinaryConv::At(int64_t index) const {
  const int64_t row = index / columns_.out;
  return {row / rows_.out, row % rows_.out, index % columns_.out};
}

void BinaryConv::Step(Pixel* pixel) const {
  if (++pixel->column < columns_.out) return;
  pixel->column = 0;
  if (++pixel->row < rows_.out) return;
  pixel->row = 0;
  ++pixel->image;
}

const uint32_t* BinaryConv::Start(const Pixel& pixel) const {
  return source_ + pixel.image * image_words_ + pixel.row * rows_.stride * row_words_ +
         pixel.column * columns_.stride * spec_.words_in();
}

void BinaryConv::RunChunk(int64_t first, int64_t last, void* output) const {
  if (spec_.output == Output::kBits) {
    auto* words = static_cast<uint32_t*>(output);
    std::fill(words + first * output_depth(), words + last * output_depth(), 0u);
  }
  for (const Block& block : blocks_) RunBlock(block, first, last, output);
  if (zeros_.corrects_floats()) CorrectFloats(first, last, static_cast<float*>(output));
}

void BinaryConv::RunBlock(const Block& block, int64_t first, int64_t last, void* output) const {
  alignas(64) int32_t counts[kTile * kBlock] = {};
  Window window{{}, run_offset_.data(), static_cast<int>(run_offset_.size()), run_words_};
  Pixel pixel = At(first);
  for (int64_t index = first; index < last; index += kTile) {
    const int pixels = static_cast<int>(std::min<int64_t>(kTile, last - index));
    const Pixel begin = pixel;
    for (int p = 0; p < pixels; ++p, Step(&pixel)) window.pixel[p] = Start(pixel) + block.first_word;
    kernels_.accumulate(window, pixels, block.channels, block.weights.data(), counts);
    if (zeros_.corrects_counts()) CorrectCounts(block, begin, pixels, counts);
    Finish(block, counts, pixels, index, output);
  }
}

void BinaryConv::CorrectCounts(const Block& block, Pixel pixel, int pixels, int32_t* counts) const {
  for (int p = 0; p < pixels; ++p, Step(&pixel)) {
    const int32_t* more = zeros_.Counts(pixel.row, pixel.column);
    if (more == nullptr) continue;
    for (int c = 0; c < block.channels; ++c) counts[p * kBlock + c] += more[block.first + c];
  }
}

void BinaryConv::CorrectFloats(int64_t first, int64_t last, float* output) const {
  Pixel pixel = At(first);
  for (int64_t index = first; index < last; ++index, Step(&pixel)) {
    const float* more = zeros_.Floats(pixel.row, pixel.column);
    if (more == nullptr) continue;
    float* out = output + index * spec_.channels_out;
    for (int c = 0; c < spec_.channels_out; ++c) out[c] += more[c];
  }
}

void BinaryConv::Finish(const Block& block, const int32_t* counts, int pixels, int64_t index, void* output) const {
  const int64_t depth = output_depth();
  if (spec_.output == Output::kBits) {
    return FinishBits(block, counts, pixels, static_cast<uint32_t*>(output) + index * depth);
  }
  const bool clamps = low_ > 0 || high_ < 2 * spec_.window_bits();
  const Affine affine{block.multiplier.data(), block.bias.data(), low_, high_, clamps};
  const int64_t at = index * depth + block.first;
  if (spec_.output == Output::kFloat) {
    kernels_.finish_float(counts, pixels, block.channels, affine, static_cast<float*>(output) + at, depth);
  } else {
    kernels_.finish_int8(counts, pixels, block.channels, affine, static_cast<int8_t*>(output) + at, depth);
  }
}

// A group's channels may start within a word, which holds those of the group before.
void BinaryConv::FinishBits(const Block& block, const int32_t* counts, int pixels, uint32_t* output) const {
  constexpr int kWords = kBlock / kWordBits;
  const int64_t depth = output_depth();
  const int shift = block.first % kWordBits;
  uint32_t* out = output + block.first / kWordBits;
  if (shift == 0) {
    return kernels_.finish_bits(counts, pixels, block.channels, block.threshold.data(), out, depth);
  }
  uint32_t words[kTile * kWords];
  kernels_.finish_bits(counts, pixels, block.channels, block.threshold.data(), words, kWords);
  for (int p = 0; p < pixels; ++p) {
    for (int w = 0; w * kWordBits < block.channels; ++w) {
      const uint32_t word = words[p * kWords + w];
      out[p * depth + w] |= word << shift;
      const uint32_t rest = word >> (kWordBits - shift);
      if (rest != 0) out[p * depth + w + 1] |= rest;
    }
  }
}

}  // namespace kqat::lce
