// LceBMaxPool2d: the largest of signs is -1 only where all are, a bitwise and. Pixels outside of the image do not
// count.
#include <algorithm>
#include <string>

#include "errors/error.h"
#include "lce/op.h"

namespace kqat::lce {
namespace {

constexpr int kLargest = 1 << 20;

void CheckSize(const char* name, int value) {
  if (value >= 1 && value <= kLargest) return;
  throw Error(std::string("Not a size that a binary pooling can have. Received: ") + name + "=" +
              std::to_string(value) + ". Use 1 to " + std::to_string(kLargest) + ".");
}

class MaxPool : public Op {
 public:
  explicit MaxPool(const MaxPoolSpec& spec) : spec_(spec) {
    CheckSize("filter_height", spec.filter_height);
    CheckSize("filter_width", spec.filter_width);
    CheckSize("stride_height", spec.stride_height);
    CheckSize("stride_width", spec.stride_width);
  }

  Shape Resize(const Shape& input) override {
    Require(input.size() == 4 && *std::min_element(input.begin(), input.end()) >= 1,
            "A binary pooling takes images. Use [batch, height, width, words].");
    rows_ = Axis::Of(input[1], spec_.filter_height, spec_.stride_height, 1, spec_.padding);
    columns_ = Axis::Of(input[2], spec_.filter_width, spec_.stride_width, 1, spec_.padding);
    words_ = input[3];
    const Shape output{input[0], rows_.out, columns_.out, words_};
    input_bytes_ = CountOf(input) * 4;
    output_bytes_ = CountOf(output) * 4;
    lines_ = input[0] * rows_.out;
    return output;
  }

  void Run(const void* input, void* output, ThreadPool& pool) override {
    const int64_t line_words = columns_.out * words_;
    pool.For(lines_, [&](int64_t line) {
      const int64_t image = line / rows_.out, row = line % rows_.out;
      const uint32_t* from = static_cast<const uint32_t*>(input) + image * rows_.in * columns_.in * words_;
      RunLine(from, row, static_cast<uint32_t*>(output) + line * line_words);
    });
  }

 private:
  // The part of a window that lies within the image.
  static void Clip(const Axis& axis, int64_t index, int64_t* first, int64_t* last) {
    *first = std::max<int64_t>(0, axis.First(index));
    *last = std::min(axis.in, axis.First(index) + axis.taps);
  }

  void RunLine(const uint32_t* image, int64_t row, uint32_t* out) const {
    int64_t top, bottom, left, right;
    Clip(rows_, row, &top, &bottom);
    for (int64_t column = 0; column < columns_.out; ++column, out += words_) {
      Clip(columns_, column, &left, &right);
      std::fill_n(out, words_, ~0u);
      for (int64_t y = top; y < bottom; ++y) {
        for (int64_t x = left; x < right; ++x) {
          const uint32_t* pixel = image + (y * columns_.in + x) * words_;
          for (int64_t w = 0; w < words_; ++w) out[w] &= pixel[w];
        }
      }
    }
  }

  MaxPoolSpec spec_;
  Axis rows_, columns_;
  int64_t words_ = 0, lines_ = 0;
};

}  // namespace

std::unique_ptr<Op> MakeMaxPool(const MaxPoolSpec& spec) { return std::make_unique<MaxPool>(spec); }

}  // namespace kqat::lce
