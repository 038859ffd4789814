// AVX-512 with VPOPCNTDQ: a lane is a channel, a vector is sixteen channels' word at the same place of the window.
#include <immintrin.h>

#include "lce/kernels.h"

namespace kqat::lce {
namespace {

constexpr int kLanes = 16;

size_t PackedBytes(int words) { return static_cast<size_t>(words) * kBlock * sizeof(uint32_t); }

// [channels][words] -> [words][kBlock]
void Pack(const uint32_t* weights, int channels, int words, uint8_t* packed) {
  auto* out = reinterpret_cast<uint32_t*>(packed);
  for (int w = 0; w < words; ++w) {
    for (int c = 0; c < channels; ++c) out[w * kBlock + c] = weights[static_cast<size_t>(c) * words + w];
  }
}

// P pixels and V vectors of channels: P * V accumulators, which fit the 32 registers with what they are computed from.
template <int P, int V>
void Count(const Window& window, const uint8_t* packed, int32_t* counts) {
  __m512i sum[P][V];
  for (int p = 0; p < P; ++p) {
    for (int v = 0; v < V; ++v) sum[p][v] = _mm512_setzero_si512();
  }
  const auto* weights = reinterpret_cast<const uint32_t*>(packed);
  for (int r = 0; r < window.runs; ++r) {
    const int64_t offset = window.run_offset[r];
    for (int i = 0; i < window.run_words; ++i, weights += kBlock) {
      __m512i w[V];
      for (int v = 0; v < V; ++v) w[v] = _mm512_loadu_si512(weights + v * kLanes);
      for (int p = 0; p < P; ++p) {
        const __m512i a = _mm512_set1_epi32(static_cast<int>(window.pixel[p][offset + i]));
        for (int v = 0; v < V; ++v) {
          sum[p][v] = _mm512_add_epi32(sum[p][v], _mm512_popcnt_epi32(_mm512_xor_si512(a, w[v])));
        }
      }
    }
  }
  for (int p = 0; p < P; ++p) {
    for (int v = 0; v < V; ++v) _mm512_storeu_si512(counts + p * kBlock + v * kLanes, sum[p][v]);
  }
}

template <int V>
void CountPixels(const Window& window, int pixels, const uint8_t* packed, int32_t* counts) {
  switch (pixels) {
    case 1: return Count<1, V>(window, packed, counts);
    case 2: return Count<2, V>(window, packed, counts);
    case 3: return Count<3, V>(window, packed, counts);
    default: return Count<4, V>(window, packed, counts);
  }
}

void Accumulate(const Window& window, int pixels, int channels, const uint8_t* packed, int32_t* counts) {
  switch ((channels + kLanes - 1) / kLanes) {
    case 1: return CountPixels<1>(window, pixels, packed, counts);
    case 2: return CountPixels<2>(window, pixels, packed, counts);
    case 3: return CountPixels<3>(window, pixels, packed, counts);
    default: return CountPixels<4>(window, pixels, packed, counts);
  }
}

inline __mmask16 Tail(int channels, int c) {
  const int left = channels - c;
  return left >= kLanes ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << left) - 1u);
}

inline __m512 Transform(const int32_t* counts, int c, const Affine& affine) {
  __m512i x = _mm512_slli_epi32(_mm512_loadu_si512(counts + c), 1);
  if (affine.clamps) {
    x = _mm512_min_epi32(x, _mm512_set1_epi32(affine.high));
    x = _mm512_max_epi32(x, _mm512_set1_epi32(affine.low));
  }
  const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(x), _mm512_loadu_ps(affine.multiplier + c));
  return _mm512_add_ps(product, _mm512_loadu_ps(affine.bias + c));
}

void FinishFloat(const int32_t* counts, int pixels, int channels, const Affine& affine, float* out, ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; c += kLanes) {
      _mm512_mask_storeu_ps(out + p * stride + c, Tail(channels, c), Transform(counts + p * kBlock, c, affine));
    }
  }
}

// Half away from zero: what precedes one half is added outwards, which reaches the next whole number from one half on
// and not before, and the rest is cut off. Values below the range of int32, and NaN, become its smallest; those above
// stay below it.
inline __m512i Round(__m512 y) {
  y = _mm512_min_ps(_mm512_set1_ps(127.0f), y);
  const __m512i sign = _mm512_and_si512(_mm512_castps_si512(y), _mm512_set1_epi32(INT32_MIN));
  const __m512i half = _mm512_or_si512(sign, _mm512_castps_si512(_mm512_set1_ps(0x1.fffffep-2f)));
  return _mm512_cvttps_epi32(_mm512_add_ps(y, _mm512_castsi512_ps(half)));
}

void FinishInt8(const int32_t* counts, int pixels, int channels, const Affine& affine, int8_t* out, ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; c += kLanes) {
      const __m512i rounded = Round(Transform(counts + p * kBlock, c, affine));
      _mm512_mask_cvtsepi32_storeu_epi8(out + p * stride + c, Tail(channels, c), rounded);
    }
  }
}

inline uint32_t Above(const int32_t* counts, const int32_t* threshold) {
  return _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(counts), _mm512_loadu_si512(threshold));
}

void FinishBits(const int32_t* counts, int pixels, int channels, const int32_t* threshold, uint32_t* out,
                ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    const int32_t* row = counts + p * kBlock;
    for (int c = 0; c < channels; c += kWordBits) {
      out[p * stride + c / kWordBits] =
          Above(row + c, threshold + c) | Above(row + c + kLanes, threshold + c + kLanes) << kLanes;
    }
  }
}

void SignFloat(const float* x, int64_t n, uint32_t* words) {
  for (int64_t c = 0; c < n; c += kWordBits) {
    uint32_t word = 0;
    for (int half = 0; half < 2 && c + half * kLanes < n; ++half) {
      const int64_t left = n - c - half * kLanes;
      const __mmask16 valid = Tail(left > kLanes ? kLanes : static_cast<int>(left), 0);
      const __m512 v = _mm512_maskz_loadu_ps(valid, x + c + half * kLanes);
      word |= static_cast<uint32_t>(_mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_LT_OQ)) << (half * kLanes);
    }
    *words++ = word;
  }
}

void SignInt8(const int8_t* x, int64_t n, int8_t zero_point, uint32_t* words) {
  const __m256i zero = _mm256_set1_epi8(zero_point);
  for (int64_t c = 0; c < n; c += kWordBits) {
    const int64_t left = n - c;
    const __mmask32 valid = left >= kWordBits ? 0xffffffffu : (1u << left) - 1u;
    *words++ = _mm256_mask_cmplt_epi8_mask(valid, _mm256_maskz_loadu_epi8(valid, x + c), zero);
  }
}

}  // namespace

const Kernels& Avx512Kernels() {
  static const Kernels kernels{PackedBytes, Pack,       Accumulate, FinishFloat,
                               FinishInt8,  FinishBits, SignFloat,  SignInt8};
  return kernels;
}

}  // namespace kqat::lce
