// A model that takes pictures and returns a score for each class.
#pragma once

#include <memory>
#include <vector>

#include "image/image.h"
#include "runtime/runtime.h"

namespace kqat::programs {

// Pixels become (value - mean) / std.
struct Normalization {
  float mean = 0.0f;
  float std = 255.0f;
};

class Classifier {
 public:
  // Throws Error: the file takes something else than one picture of 1 or 3 channels a sample.
  Classifier(std::unique_ptr<runtime::Runtime> runtime, Normalization normalization);

  runtime::Runtime& runtime() { return *runtime_; }

  // Returns a picture in the size, the channels and the stored type of the model's input.
  std::vector<uint8_t> Prepare(const image::Image& image) const;

  // Runs on prepared pictures, at most one batch of them; returns the microseconds from copying them in to having
  // copied the results out.
  double Run(const std::vector<std::vector<uint8_t>>& prepared);

  // The first output of a sample of the last run: as stored, and as real numbers.
  std::vector<uint8_t> Stored(size_t sample) const;
  std::vector<float> Scores(size_t sample) const;

 private:
  std::unique_ptr<runtime::Runtime> runtime_;
  Normalization normalization_;
  std::vector<uint8_t> results_;
};

// Returns the index of the largest score; the first one of several.
size_t Best(const std::vector<float>& scores);

}  // namespace kqat::programs
