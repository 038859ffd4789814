// A binary convolution, ready to run on images of one size.
#pragma once

#include <cstdint>
#include <vector>

#include "lce/aligned.h"
#include "lce/conv_spec.h"
#include "lce/kernels.h"
#include "lce/thread_pool.h"
#include "lce/zero_padding.h"

namespace kqat::lce {

class BinaryConv {
 public:
  // Throws Error as Check(spec) does.
  BinaryConv(ConvSpec spec, Isa isa);

  const ConvSpec& spec() const { return spec_; }

  // Prepares for images of a size. Throws Error: they need more memory than 2 GiB, or are too wide.
  void Resize(int64_t batch, int64_t height, int64_t width);

  int64_t batch() const { return batch_; }
  const Axis& rows() const { return rows_; }
  const Axis& columns() const { return columns_; }
  // Bytes of the input and the output, and elements of the last axis of the output.
  int64_t input_bytes() const;
  int64_t output_bytes() const;
  int64_t output_depth() const;

  // Computes `output` from `input`, words [batch, height, width, words_in]. The output is [batch, rows, columns,
  // channels_out] floats or int8, or their words of bits.
  void Run(const uint32_t* input, void* output, ThreadPool& pool);

 private:
  // Up to kBlock output channels of one group, and what the kernels need to compute them.
  struct Block {
    int first;  // channel
    int channels;
    int64_t first_word;  // of the group's input
    AlignedBytes weights;
    std::vector<float> multiplier, bias;
    std::vector<int32_t> threshold;
  };

  // An output pixel while they are walked over in order.
  struct Pixel {
    int64_t image, row, column;
  };

  Block MakeBlock(int group, int first, int channels, const Folded& folded) const;
  void FindRuns();
  void Pad(const uint32_t* input, ThreadPool& pool);
  Pixel At(int64_t index) const;
  void Step(Pixel* pixel) const;
  const uint32_t* Start(const Pixel& pixel) const;
  void RunChunk(int64_t first, int64_t last, void* output) const;
  void RunBlock(const Block& block, int64_t first, int64_t last, void* output) const;
  void CorrectCounts(const Block& block, Pixel pixel, int pixels, int32_t* counts) const;
  void CorrectFloats(int64_t first, int64_t last, float* output) const;
  void Finish(const Block& block, const int32_t* counts, int pixels, int64_t index, void* output) const;
  void FinishBits(const Block& block, const int32_t* counts, int pixels, uint32_t* output) const;

  ConvSpec spec_;
  const Kernels& kernels_;
  int32_t low_ = 0, high_ = 0;
  std::vector<Block> blocks_;
  Axis rows_, columns_;
  int64_t batch_ = 0;
  int64_t row_words_ = 0, image_words_ = 0;  // of what windows are read from
  std::vector<int64_t> run_offset_;
  int run_words_ = 0;
  size_t padded_words_ = 0;  // 0 if windows never stick out
  std::vector<uint32_t> padded_;
  const uint32_t* source_ = nullptr;
  ZeroPadding zeros_;
};

}  // namespace kqat::lce
