// NEON counts bits byte by byte. A lane of 32 bits is a channel; its four bytes are summed on their own until they
// could overflow, and added up then.
#include <arm_neon.h>

#include "lce/kernels.h"

namespace kqat::lce {
namespace {

constexpr int kLanes = 4;
constexpr int kVectors = 4;         // of channels at a time: 4 pixels * 4 vectors of sums leave half of the registers
constexpr int kGroup = kLanes * kVectors;
constexpr int kWordsPerFlush = 31;  // a byte holds 31 * 8 = 248

size_t PackedBytes(int words) { return static_cast<size_t>(words) * kBlock * sizeof(uint32_t); }

// [channels][words] -> [groups of 16 channels][words][16]
void Pack(const uint32_t* weights, int channels, int words, uint8_t* packed) {
  auto* out = reinterpret_cast<uint32_t*>(packed);
  for (int c = 0; c < channels; ++c) {
    uint32_t* group = out + static_cast<size_t>(c / kGroup) * words * kGroup + c % kGroup;
    for (int w = 0; w < words; ++w) group[w * kGroup] = weights[static_cast<size_t>(c) * words + w];
  }
}

template <int P>
inline void Flush(uint8x16_t (&bytes)[P][kVectors], int32_t* counts) {
  for (int p = 0; p < P; ++p) {
    for (int v = 0; v < kVectors; ++v) {
      int32_t* to = counts + p * kBlock + v * kLanes;
      const uint32x4_t sum = vpadalq_u16(vreinterpretq_u32_s32(vld1q_s32(to)), vpaddlq_u8(bytes[p][v]));
      vst1q_s32(to, vreinterpretq_s32_u32(sum));
      bytes[p][v] = vdupq_n_u8(0);
    }
  }
}

template <int P>
void Count(const Window& window, const uint32_t* weights, int32_t* counts) {
  uint8x16_t bytes[P][kVectors];
  for (int p = 0; p < P; ++p) {
    for (int v = 0; v < kVectors; ++v) {
      bytes[p][v] = vdupq_n_u8(0);
      vst1q_s32(counts + p * kBlock + v * kLanes, vdupq_n_s32(0));
    }
  }
  int held = 0;
  for (int r = 0; r < window.runs; ++r) {
    const int64_t offset = window.run_offset[r];
    for (int i = 0; i < window.run_words; ++i, weights += kGroup) {
      for (int p = 0; p < P; ++p) {
        const uint32x4_t a = vdupq_n_u32(window.pixel[p][offset + i]);
        for (int v = 0; v < kVectors; ++v) {
          const uint8x16_t x = vreinterpretq_u8_u32(veorq_u32(a, vld1q_u32(weights + v * kLanes)));
          bytes[p][v] = vaddq_u8(bytes[p][v], vcntq_u8(x));
        }
      }
      if (++held == kWordsPerFlush) {
        Flush<P>(bytes, counts);
        held = 0;
      }
    }
  }
  Flush<P>(bytes, counts);
}

void CountPixels(const Window& window, int pixels, const uint32_t* weights, int32_t* counts) {
  switch (pixels) {
    case 1: return Count<1>(window, weights, counts);
    case 2: return Count<2>(window, weights, counts);
    case 3: return Count<3>(window, weights, counts);
    default: return Count<4>(window, weights, counts);
  }
}

void Accumulate(const Window& window, int pixels, int channels, const uint8_t* packed, int32_t* counts) {
  const auto* weights = reinterpret_cast<const uint32_t*>(packed);
  const size_t group = static_cast<size_t>(window.runs) * window.run_words * kGroup;
  for (int c = 0; c < channels; c += kGroup, weights += group) CountPixels(window, pixels, weights, counts + c);
}

inline float32x4_t Transform(const int32_t* counts, int c, const Affine& affine) {
  int32x4_t x = vshlq_n_s32(vld1q_s32(counts + c), 1);
  x = vmaxq_s32(vminq_s32(x, vdupq_n_s32(affine.high)), vdupq_n_s32(affine.low));
  const float32x4_t product = vmulq_f32(vcvtq_f32_s32(x), vld1q_f32(affine.multiplier + c));
  return vaddq_f32(product, vld1q_f32(affine.bias + c));
}

void FinishFloat(const int32_t* counts, int pixels, int channels, const Affine& affine, float* out, ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; c += kLanes) {
      const float32x4_t y = Transform(counts + p * kBlock, c, affine);
      float* to = out + p * stride + c;
      if (channels - c >= kLanes) {
        vst1q_f32(to, y);
        continue;
      }
      float rest[kLanes];
      vst1q_f32(rest, y);
      for (int i = 0; i < channels - c; ++i) to[i] = rest[i];
    }
  }
}

void FinishInt8(const int32_t* counts, int pixels, int channels, const Affine& affine, int8_t* out, ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; c += kLanes) {
      // maxnm takes the number where the other is NaN; vcvta rounds half away from zero.
      float32x4_t y = vmaxnmq_f32(Transform(counts + p * kBlock, c, affine), vdupq_n_f32(-128.0f));
      int32_t whole[kLanes];
      vst1q_s32(whole, vcvtaq_s32_f32(vminq_f32(y, vdupq_n_f32(127.0f))));
      for (int i = 0; i < kLanes && c + i < channels; ++i) out[p * stride + c + i] = static_cast<int8_t>(whole[i]);
    }
  }
}

inline uint32_t Bits(uint32x4_t mask) {
  static const uint32_t kWeight[kLanes] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(mask, vld1q_u32(kWeight)));
}

void FinishBits(const int32_t* counts, int pixels, int channels, const int32_t* threshold, uint32_t* out,
                ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    const int32_t* row = counts + p * kBlock;
    for (int c = 0; c < channels; c += kWordBits) {
      uint32_t word = 0;
      for (int i = c; i < c + kWordBits; i += kLanes) {
        word |= Bits(vcgtq_s32(vld1q_s32(row + i), vld1q_s32(threshold + i))) << (i - c);
      }
      out[p * stride + c / kWordBits] = word;
    }
  }
}

void SignFloat(const float* x, int64_t n, uint32_t* words) {
  for (int64_t c = 0; c < n; c += kWordBits) {
    uint32_t word = 0;
    const int valid = n - c < kWordBits ? static_cast<int>(n - c) : kWordBits;
    int i = 0;
    for (; i + kLanes <= valid; i += kLanes) word |= Bits(vcltzq_f32(vld1q_f32(x + c + i))) << i;
    for (; i < valid; ++i) word |= static_cast<uint32_t>(x[c + i] < 0.0f) << i;
    *words++ = word;
  }
}

void SignInt8(const int8_t* x, int64_t n, int8_t zero_point, uint32_t* words) {
  static const uint8_t kWeight[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const int8x16_t zero = vdupq_n_s8(zero_point);
  for (int64_t c = 0; c < n; c += kWordBits) {
    uint32_t word = 0;
    const int valid = n - c < kWordBits ? static_cast<int>(n - c) : kWordBits;
    int i = 0;
    for (; i + 16 <= valid; i += 16) {
      const uint8x16_t bits = vandq_u8(vcltq_s8(vld1q_s8(x + c + i), zero), vld1q_u8(kWeight));
      const uint32_t low = vaddv_u8(vget_low_u8(bits)), high = vaddv_u8(vget_high_u8(bits));
      word |= (low | high << 8) << i;
    }
    for (; i < valid; ++i) word |= static_cast<uint32_t>(x[c + i] < zero_point) << i;
    *words++ = word;
  }
}

}  // namespace

const Kernels& NeonKernels() {
  static const Kernels kernels{PackedBytes, Pack,       Accumulate, FinishFloat,
                               FinishInt8,  FinishBits, SignFloat,  SignInt8};
  return kernels;
}

}  // namespace kqat::lce
