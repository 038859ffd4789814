// Every kernel that this machine has against definitions, over random convolutions, images, threads and outputs.
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <random>
#include <string>

#include "lce/conv.h"
#include "lce/isa.h"
#include "tests/lce/naive.h"

namespace kqat::lce {
namespace {

using Random = std::mt19937;

int Pick(Random& random, int low, int high) { return low + static_cast<int>(random() % (high - low + 1)); }

std::vector<uint32_t> RandomWords(Random& random, int64_t rows, int channels) {
  const int words = (channels + 31) / 32;
  std::vector<uint32_t> out(rows * words);
  for (uint32_t& word : out) word = static_cast<uint32_t>(random());
  if (channels % 32 != 0) {
    for (int64_t r = 0; r < rows; ++r) out[r * words + words - 1] &= (1u << channels % 32) - 1u;
  }
  return out;
}

ConvSpec RandomSpec(Random& random) {
  ConvSpec s;
  s.groups = Pick(random, 0, 3) == 0 ? Pick(random, 2, 3) : 1;
  s.channels_in = s.groups > 1 ? s.groups * 32 * Pick(random, 1, 2) : Pick(random, 1, 150);
  s.channels_out = s.groups * Pick(random, 1, s.groups > 1 ? 70 : 140);
  s.kernel_height = Pick(random, 1, 4);
  s.kernel_width = Pick(random, 1, 4);
  s.stride_height = Pick(random, 1, 3);
  s.stride_width = Pick(random, 1, 3);
  s.dilation_height = Pick(random, 1, 2);
  s.dilation_width = Pick(random, 1, 2);
  s.padding = Pick(random, 0, 2) == 0 ? Padding::kValid : Padding::kSame;
  s.pad_with_one = Pick(random, 0, 1) == 0;
  s.output = static_cast<Output>(Pick(random, 0, 2));
  s.activation = static_cast<Activation>(Pick(random, 0, 3));
  const bool late = s.output == Output::kFloat && s.activation == Activation::kNone;
  if (s.zero_padded() && !late && s.channels_in / s.groups % 2) s.pad_with_one = true;
  return s;
}

void FillConstants(Random& random, ConvSpec* s) {
  s->filter = RandomWords(random, static_cast<int64_t>(s->channels_out) * s->taps(), s->channels_in / s->groups);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  s->scale = 0.37f;
  s->zero_point = Pick(random, -20, 20);
  const int bits = static_cast<int>(s->window_bits());
  for (int c = 0; c < s->channels_out; ++c) {
    const int kind = Pick(random, 0, 9);
    if (s->output == Output::kBits) {
      s->threshold.push_back(kind == 0   ? std::numeric_limits<int32_t>::max()
                             : kind == 1 ? std::numeric_limits<int32_t>::lowest()
                                         : bits / 2 + Pick(random, -5, 5));
    } else {
      // Halves make exact ties, large ones saturate.
      s->multiplier.push_back(kind == 0 ? 0.5f * s->scale : kind == 1 ? 100.0f : kind == 2 ? 0.0f : normal(random));
      s->bias.push_back(kind == 0 ? 0.0f : normal(random) * 10.0f);
    }
  }
}

std::vector<float> Values(const ConvSpec& s, const std::vector<uint8_t>& bytes, int64_t pixels) {
  std::vector<float> values;
  for (int64_t i = 0; i < pixels * s.channels_out; ++i) {
    const int64_t pixel = i / s.channels_out, channel = i % s.channels_out;
    if (s.output == Output::kFloat) {
      values.push_back(reinterpret_cast<const float*>(bytes.data())[i]);
    } else if (s.output == Output::kInt8) {
      values.push_back(static_cast<float>(reinterpret_cast<const int8_t*>(bytes.data())[i]));
    } else {
      const auto* words = reinterpret_cast<const uint32_t*>(bytes.data()) + pixel * ((s.channels_out + 31) / 32);
      values.push_back(naive::Bit(words, channel));
    }
  }
  return values;
}

bool UnusedBitsAreZero(const ConvSpec& s, const std::vector<uint8_t>& bytes, int64_t pixels) {
  if (s.output != Output::kBits || s.channels_out % 32 == 0) return true;
  const int words = (s.channels_out + 31) / 32;
  for (int64_t p = 0; p < pixels; ++p) {
    if (reinterpret_cast<const uint32_t*>(bytes.data())[(p + 1) * words - 1] >> (s.channels_out % 32)) return false;
  }
  return true;
}

std::string Describe(const ConvSpec& s) {
  char text[200];
  std::snprintf(text, sizeof text,
                "in %d out %d kernel %dx%d stride %dx%d dilation %dx%d groups %d padding %d/%d activation %d output %d",
                s.channels_in, s.channels_out, s.kernel_height, s.kernel_width, s.stride_height, s.stride_width,
                s.dilation_height, s.dilation_width, s.groups, static_cast<int>(s.padding), s.pad_with_one,
                static_cast<int>(s.activation), static_cast<int>(s.output));
  return text;
}

// Returns the number of ways in which one convolution came out wrong.
int RunOne(Random& random, const ConvSpec& s, bool all_differ, ThreadPool& one, ThreadPool& three) {
  const int64_t batch = Pick(random, 1, 2), height = Pick(random, 1, 13), width = Pick(random, 1, 13);
  std::vector<uint32_t> input = RandomWords(random, batch * height * width, s.channels_in);
  if (all_differ) input.assign(input.size(), ~s.filter[0]);
  const std::vector<float> expected = naive::Conv(s, batch, height, width, input);
  int failures = 0;
  for (Isa isa : Available()) {
    for (ThreadPool* pool : {&one, &three}) {
      BinaryConv conv(s, isa);
      conv.Resize(batch, height, width);
      std::vector<uint8_t> output(conv.output_bytes() + 64, 0xA5);
      conv.Run(input.data(), output.data(), *pool);
      const int64_t pixels = batch * conv.rows().out * conv.columns().out;
      const std::vector<float> found = Values(s, output, pixels);
      bool same = found.size() == expected.size() && UnusedBitsAreZero(s, output, pixels) &&
                  (found.empty() || std::memcmp(found.data(), expected.data(), found.size() * 4) == 0);
      for (size_t i = conv.output_bytes(); i < output.size(); ++i) same &= output[i] == 0xA5;
      if (same) continue;
      std::printf("%s, %d threads: wrong. %s, image %dx%d\n", Name(isa).c_str(), pool->threads(), Describe(s).c_str(),
                  static_cast<int>(height), static_cast<int>(width));
      ++failures;
    }
  }
  return failures;
}

int RunSigns(Random& random) {
  int failures = 0;
  for (int n = 1; n < 140; ++n) {
    std::vector<float> x(n);
    std::vector<int8_t> q(n);
    for (int i = 0; i < n; ++i) {
      const float special[] = {0.0f, -0.0f, std::nanf(""), -1e-45f, 1e-45f, -INFINITY, INFINITY};
      x[i] = random() % 4 == 0 ? special[random() % 7] : static_cast<float>(static_cast<int32_t>(random()));
      q[i] = static_cast<int8_t>(random());
    }
    const int8_t zero_point = static_cast<int8_t>(random());
    for (Isa isa : Available()) {
      std::vector<uint32_t> a((n + 31) / 32, ~0u), b = a;
      KernelsFor(isa, 1).sign_float(x.data(), n, a.data());
      KernelsFor(isa, 1).sign_int8(q.data(), n, zero_point, b.data());
      for (int i = 0; i < static_cast<int>(a.size()) * 32; ++i) {
        const bool float_bit = i < n && x[i] < 0.0f, int8_bit = i < n && q[i] < zero_point;
        if (naive::Bit(a.data(), i) == float_bit && naive::Bit(b.data(), i) == int8_bit) continue;
        std::printf("%s: sign of value %d of %d is wrong\n", Name(isa).c_str(), i, n);
        ++failures;
      }
    }
  }
  return failures;
}

// Sums that 8 and 16 bits cannot hold.
int RunDeep(Random& random, ThreadPool& one, ThreadPool& three) {
  int failures = 0;
  for (int channels : {32 * 7, 32 * 94, 32 * 250}) {
    ConvSpec s;
    s.channels_in = channels;
    s.channels_out = 3;
    s.kernel_height = s.kernel_width = 3;
    s.padding = Padding::kSame;
    s.pad_with_one = true;
    FillConstants(random, &s);
    failures += RunOne(random, s, false, one, three);
    s.filter.assign(s.filter.size(), ~0u);
    failures += RunOne(random, s, true, one, three);
  }
  return failures;
}

int Main(int trials) {
  Random random(20);
  ThreadPool one(1), three(3);
  int failures = RunSigns(random) + RunDeep(random, one, three);
  for (int i = 0; i < trials; ++i) {
    ConvSpec s = RandomSpec(random);
    FillConstants(random, &s);
    failures += RunOne(random, s, false, one, three);
  }
  std::string names;
  for (Isa isa : Available()) names += " " + Name(isa);
  std::printf("%d random convolutions on%s: %d wrong\n", trials, names.c_str(), failures);
  return failures != 0;
}

}  // namespace
}  // namespace kqat::lce

int main(int argc, char** argv) {
  try {
    return kqat::lce::Main(argc > 1 ? std::atoi(argv[1]) : 400);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
