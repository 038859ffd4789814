// AVX2 has no population count. Four bits of an activation choose a row of a table, and a byte shuffle looks four bits
// of 32 channels' weights up in it: entry w of row a is the number of bits in which a and w differ. A lane is a
// channel.
#include <immintrin.h>

#include "lce/kernels.h"

namespace kqat::lce {
namespace {

constexpr int kNibbles = 8;        // of a word
constexpr int kBytes = 32;         // of a vector
constexpr int kWordsPerFlush = 7;  // a byte holds 7 * 8 * 4 = 224, one more word could overflow it

#define KQAT_BITS(n) ((n & 1) + (n >> 1 & 1) + (n >> 2 & 1) + (n >> 3 & 1))
#define KQAT_ROW(a)                                                                                              \
  {KQAT_BITS((a ^ 0)),  KQAT_BITS((a ^ 1)),  KQAT_BITS((a ^ 2)),  KQAT_BITS((a ^ 3)),  KQAT_BITS((a ^ 4)),  \
   KQAT_BITS((a ^ 5)),  KQAT_BITS((a ^ 6)),  KQAT_BITS((a ^ 7)),  KQAT_BITS((a ^ 8)),  KQAT_BITS((a ^ 9)),  \
   KQAT_BITS((a ^ 10)), KQAT_BITS((a ^ 11)), KQAT_BITS((a ^ 12)), KQAT_BITS((a ^ 13)), KQAT_BITS((a ^ 14)), \
   KQAT_BITS((a ^ 15))}
alignas(64) constexpr uint8_t kDifferences[16][16] = {
    KQAT_ROW(0), KQAT_ROW(1), KQAT_ROW(2),  KQAT_ROW(3),  KQAT_ROW(4),  KQAT_ROW(5),  KQAT_ROW(6),  KQAT_ROW(7),
    KQAT_ROW(8), KQAT_ROW(9), KQAT_ROW(10), KQAT_ROW(11), KQAT_ROW(12), KQAT_ROW(13), KQAT_ROW(14), KQAT_ROW(15)};
#undef KQAT_ROW
#undef KQAT_BITS

size_t PackedBytes(int words) { return static_cast<size_t>(words) * kNibbles * kBlock; }

// [channels][words] -> [words][nibbles][kBlock], a byte a nibble
void Pack(const uint32_t* weights, int channels, int words, uint8_t* packed) {
  for (int c = 0; c < channels; ++c) {
    for (int w = 0; w < words; ++w) {
      const uint32_t word = weights[static_cast<size_t>(c) * words + w];
      uint8_t* out = packed + static_cast<size_t>(w) * kNibbles * kBlock + c;
      for (int n = 0; n < kNibbles; ++n) out[n * kBlock] = word >> (4 * n) & 15u;
    }
  }
}

inline __m256i Row(uint32_t nibble) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(kDifferences[nibble])));
}

inline __m256i Load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

// Adds 32 bytes to 32 sums of 16 bits. Unpacking works within halves, so the order is 0-7, 16-23 | 8-15, 24-31.
inline void Widen(__m256i bytes, __m256i* sums) {
  const __m256i zero = _mm256_setzero_si256();
  sums[0] = _mm256_add_epi16(sums[0], _mm256_unpacklo_epi8(bytes, zero));
  sums[1] = _mm256_add_epi16(sums[1], _mm256_unpackhi_epi8(bytes, zero));
}

inline void Store(const __m256i* sums, int32_t* counts) {
  auto* out = reinterpret_cast<__m256i*>(counts);
  _mm256_storeu_si256(out + 0, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(sums[0])));
  _mm256_storeu_si256(out + 1, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(sums[1])));
  _mm256_storeu_si256(out + 2, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(sums[0], 1)));
  _mm256_storeu_si256(out + 3, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(sums[1], 1)));
}

// Adds one word of P pixels against V vectors of channels to sums of bytes.
template <int P, int V>
inline void AddWord(const uint32_t (&activation)[P], const uint8_t* weights, __m256i (&bytes)[P][V]) {
  for (int n = 0; n < kNibbles; ++n) {
    __m256i w[V];
    for (int v = 0; v < V; ++v) w[v] = Load(weights + n * kBlock + v * kBytes);
    for (int p = 0; p < P; ++p) {
      const __m256i row = Row(activation[p] >> (4 * n) & 15u);
      for (int v = 0; v < V; ++v) bytes[p][v] = _mm256_add_epi8(bytes[p][v], _mm256_shuffle_epi8(row, w[v]));
    }
  }
}

template <int P, int V>
inline void Flush(__m256i (&bytes)[P][V], __m256i (&sums)[P][V][2]) {
  for (int p = 0; p < P; ++p) {
    for (int v = 0; v < V; ++v) {
      Widen(bytes[p][v], sums[p][v]);
      bytes[p][v] = _mm256_setzero_si256();
    }
  }
}

template <int P, int V>
void Count(const Window& window, const uint8_t* weights, int32_t* counts) {
  __m256i bytes[P][V], sums[P][V][2];
  for (int p = 0; p < P; ++p) {
    for (int v = 0; v < V; ++v) bytes[p][v] = sums[p][v][0] = sums[p][v][1] = _mm256_setzero_si256();
  }
  int held = 0;
  for (int r = 0; r < window.runs; ++r) {
    const int64_t offset = window.run_offset[r];
    for (int i = 0; i < window.run_words; ++i, weights += kNibbles * kBlock) {
      uint32_t activation[P];
      for (int p = 0; p < P; ++p) activation[p] = window.pixel[p][offset + i];
      AddWord<P, V>(activation, weights, bytes);
      if (++held == kWordsPerFlush) {
        Flush<P, V>(bytes, sums);
        held = 0;
      }
    }
  }
  Flush<P, V>(bytes, sums);
  for (int p = 0; p < P; ++p) {
    for (int v = 0; v < V; ++v) Store(sums[p][v], counts + p * kBlock + v * kBytes);
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
  if (channels <= kBytes) return CountPixels<1>(window, pixels, packed, counts);
  CountPixels<2>(window, pixels, packed, counts);
}

constexpr int kLanes = 8;

inline __m256i Mask(int left) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline __m256 Transform(const int32_t* counts, int c, const Affine& affine) {
  __m256i x = _mm256_slli_epi32(Load(counts + c), 1);
  if (affine.clamps) {
    x = _mm256_min_epi32(x, _mm256_set1_epi32(affine.high));
    x = _mm256_max_epi32(x, _mm256_set1_epi32(affine.low));
  }
  const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(x), _mm256_loadu_ps(affine.multiplier + c));
  return _mm256_add_ps(product, _mm256_loadu_ps(affine.bias + c));
}

void FinishFloat(const int32_t* counts, int pixels, int channels, const Affine& affine, float* out, ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; c += kLanes) {
      const __m256 y = Transform(counts + p * kBlock, c, affine);
      float* to = out + p * stride + c;
      channels - c >= kLanes ? _mm256_storeu_ps(to, y) : _mm256_maskstore_ps(to, Mask(channels - c), y);
    }
  }
}

// Half away from zero: what precedes one half is added outwards, which reaches the next whole number from one half on
// and not before, and the rest is cut off. Values below the range of int32, and NaN, become its smallest; those above
// stay below it.
inline __m256i Round(__m256 y) {
  y = _mm256_min_ps(_mm256_set1_ps(127.0f), y);
  const __m256 half = _mm256_or_ps(_mm256_and_ps(y, _mm256_set1_ps(-0.0f)), _mm256_set1_ps(0x1.fffffep-2f));
  return _mm256_cvttps_epi32(_mm256_add_ps(y, half));
}

void FinishInt8(const int32_t* counts, int pixels, int channels, const Affine& affine, int8_t* out, ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; c += kLanes) {
      const __m256i y = Round(Transform(counts + p * kBlock, c, affine));
      const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
      const int64_t eight = _mm_cvtsi128_si64(_mm_packs_epi16(halves, halves));
      const int left = channels - c < kLanes ? channels - c : kLanes;
      __builtin_memcpy(out + p * stride + c, &eight, left);
    }
  }
}

inline uint32_t Above(const int32_t* counts, const int32_t* threshold) {
  const __m256i above = _mm256_cmpgt_epi32(Load(counts), Load(threshold));
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(above)));
}

void FinishBits(const int32_t* counts, int pixels, int channels, const int32_t* threshold, uint32_t* out,
                ptrdiff_t stride) {
  for (int p = 0; p < pixels; ++p) {
    const int32_t* row = counts + p * kBlock;
    for (int c = 0; c < channels; c += kWordBits) {
      uint32_t word = 0;
      for (int i = 0; i < kWordBits; i += kLanes) word |= Above(row + c + i, threshold + c + i) << i;
      out[p * stride + c / kWordBits] = word;
    }
  }
}

void SignFloat(const float* x, int64_t n, uint32_t* words) {
  for (int64_t c = 0; c < n; c += kWordBits) {
    uint32_t word = 0;
    for (int i = 0; i < kWordBits && c + i < n; i += kLanes) {
      const int64_t left = n - c - i;
      const __m256 v = left >= kLanes ? _mm256_loadu_ps(x + c + i)
                                      : _mm256_maskload_ps(x + c + i, Mask(static_cast<int>(left)));
      const __m256 negative = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LT_OQ);
      word |= static_cast<uint32_t>(_mm256_movemask_ps(negative)) << i;
    }
    *words++ = word;
  }
}

void SignInt8(const int8_t* x, int64_t n, int8_t zero_point, uint32_t* words) {
  const __m256i zero = _mm256_set1_epi8(zero_point);
  int64_t c = 0;
  for (; c + kWordBits <= n; c += kWordBits) {
    *words++ = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpgt_epi8(zero, Load(x + c))));
  }
  if (c == n) return;
  uint32_t word = 0;
  for (int i = 0; c + i < n; ++i) word |= static_cast<uint32_t>(x[c + i] < zero_point) << i;
  *words = word;
}

}  // namespace

const Kernels& Avx2Kernels() {
  static const Kernels kernels{PackedBytes, Pack,       Accumulate, FinishFloat,
                               FinishInt8,  FinishBits, SignFloat,  SignInt8};
  return kernels;
}

}  // namespace kqat::lce
