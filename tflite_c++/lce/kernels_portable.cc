// The kernels in plain C++, for every processor and as the reference that the others are tested against.
#include <cmath>
#include <cstring>

#include "lce/kernels.h"

namespace kqat::lce {
namespace {

// 64-bit population count without the instruction, which baseline x86-64 does not have.
inline int32_t PopCount(uint64_t x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<int32_t>((x * 0x0101010101010101u) >> 56);
}

inline uint64_t Load64(const uint32_t* words) {
  uint64_t value;
  std::memcpy(&value, words, sizeof value);
  return value;
}

int32_t Differences(const uint32_t* a, const uint32_t* w, int words) {
  int32_t count = 0;
  int i = 0;
  for (; i + 2 <= words; i += 2) count += PopCount(Load64(a + i) ^ Load64(w + i));
  if (i < words) count += PopCount(a[i] ^ w[i]);
  return count;
}

size_t PackedBytes(int words) { return static_cast<size_t>(words) * kBlock * sizeof(uint32_t); }

void Pack(const uint32_t* weights, int channels, int words, uint8_t* packed) {
  std::memcpy(packed, weights, static_cast<size_t>(channels) * words * sizeof(uint32_t));
}

void Accumulate(const Window& window, int pixels, int channels, const uint8_t* packed, int32_t* counts) {
  const auto* weights = reinterpret_cast<const uint32_t*>(packed);
  const int words = window.runs * window.run_words;
  for (int c = 0; c < channels; ++c) {
    for (int p = 0; p < pixels; ++p) {
      int32_t count = 0;
      for (int r = 0; r < window.runs; ++r) {
        const uint32_t* w = weights + static_cast<size_t>(c) * words + r * window.run_words;
        count += Differences(window.pixel[p] + window.run_offset[r], w, window.run_words);
      }
      counts[p * kBlock + c] = count;
    }
  }
}

inline float Transform(int32_t count, int c, const Affine& affine) {
  int32_t x = 2 * count;
  x = x < affine.high ? x : affine.high;
  x = x > affine.low ? x : affine.low;
  return static_cast<float>(x) * affine.multiplier[c] + affine.bias[c];
}

void FinishFloat(const int32_t* counts, int pixels, int channels, const Affine& affine, float* out, ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; ++c) out[p * stride + c] = Transform(counts[p * kBlock + c], c, affine);
  }
}

// Half away from zero: what precedes one half is added outwards, and the rest cut off. Clamped first, so that the
// conversion is defined for every value; NaN becomes -128.
inline int8_t RoundToInt8(float y) {
  if (!(y > -128.0f)) return -128;
  return y < 127.0f ? static_cast<int8_t>(y + std::copysign(0x1.fffffep-2f, y)) : int8_t{127};
}

void FinishInt8(const int32_t* counts, int pixels, int channels, const Affine& affine, int8_t* out, ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; ++c) {
      out[p * stride + c] = RoundToInt8(Transform(counts[p * kBlock + c], c, affine));
    }
  }
}

void FinishBits(const int32_t* counts, int pixels, int channels, const int32_t* threshold, uint32_t* out,
                ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int first = 0; first < channels; first += kWordBits) {
      uint32_t word = 0;
      for (int c = first; c < channels && c < first + kWordBits; ++c) {
        word |= static_cast<uint32_t>(counts[p * kBlock + c] > threshold[c]) << (c - first);
      }
      out[p * stride + first / kWordBits] = word;
    }
  }
}

template <typename T>
void Sign(const T* x, int64_t n, T zero, uint32_t* words) {
  for (int64_t first = 0; first < n; first += kWordBits) {
    uint32_t word = 0;
    for (int64_t c = first; c < n && c < first + kWordBits; ++c) {
      word |= static_cast<uint32_t>(x[c] < zero) << (c - first);
    }
    *words++ = word;
  }
}

void SignFloat(const float* x, int64_t n, uint32_t* words) { Sign(x, n, 0.0f, words); }

void SignInt8(const int8_t* x, int64_t n, int8_t zero_point, uint32_t* words) { Sign(x, n, zero_point, words); }

}  // namespace

const Kernels& PortableKernels() {
  static const Kernels kernels{PackedBytes, Pack,       Accumulate, FinishFloat,
                               FinishInt8,  FinishBits, SignFloat,  SignInt8};
  return kernels;
}

}  // namespace kqat::lce
