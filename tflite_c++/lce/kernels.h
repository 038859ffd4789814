// What every instruction set implements: the inner loops, and nothing that allocates or decides.
//
// A convolution is computed for a tile of up to kTile output pixels and a block of up to kBlock output channels. Files
// that implement this are compiled with flags of their own and must not share inline functions with others: the linker
// would keep one copy, perhaps one that the processor cannot run. Hence plain structs and plain functions here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lce/isa.h"

namespace kqat::lce {

inline constexpr int kTile = 4;
inline constexpr int kBlock = 64;
inline constexpr int kWordBits = 32;

// Where a tile reads its activations: runs of consecutive words, at the same offsets from each pixel's first word.
struct Window {
  const uint32_t* pixel[kTile];
  const int64_t* run_offset;
  int runs;
  int run_words;
};

// y = clamp(2 * count, low, high) * multiplier[c] + bias[c], the product rounded before the sum.
struct Affine {
  const float* multiplier;
  const float* bias;
  int32_t low;
  int32_t high;
  bool clamps;  // whether counts reach beyond low and high at all
};

struct Kernels {
  // Bytes that weights of `words` words a channel take for one block.
  size_t (*packed_bytes)(int words);
  // Arranges [channels][words] for `accumulate`; `packed` is zeroed.
  void (*pack)(const uint32_t* weights, int channels, int words, uint8_t* packed);
  // Sets counts[pixel][channel] to the number of bits in which activation and weight differ. Counts of channels from
  // `channels` on are undefined.
  void (*accumulate)(const Window& window, int pixels, int channels, const uint8_t* packed, int32_t* counts);
  // The three outputs. `stride` is what one pixel's outputs lie apart, in elements of `out`.
  void (*finish_float)(const int32_t* counts, int pixels, int channels, const Affine& affine, float* out,
                       ptrdiff_t stride);
  void (*finish_int8)(const int32_t* counts, int pixels, int channels, const Affine& affine, int8_t* out,
                      ptrdiff_t stride);
  // Bit c is counts[c] > threshold[c]; thresholds are padded to kBlock with INT32_MAX. Writes whole words.
  void (*finish_bits)(const int32_t* counts, int pixels, int channels, const int32_t* threshold, uint32_t* out,
                      ptrdiff_t stride);
  // Bit c is x[c] < 0, or x[c] < zero_point; unused bits of the last word are 0.
  void (*sign_float)(const float* x, int64_t n, uint32_t* words);
  void (*sign_int8)(const int8_t* x, int64_t n, int8_t zero_point, uint32_t* words);
};

// Largest count that the AVX2 kernel keeps apart: it sums in 16 bits.
inline constexpr int64_t kAvx2MaxBits = 65535;

const Kernels& PortableKernels();
const Kernels& Avx2Kernels();
const Kernels& Avx512Kernels();
const Kernels& NeonKernels();

// Returns the kernels of an instruction set that Available() lists, for convolutions over `bits` bits: the fastest of
// that set which cannot overflow.
const Kernels& KernelsFor(Isa isa, int64_t bits);

}  // namespace kqat::lce
