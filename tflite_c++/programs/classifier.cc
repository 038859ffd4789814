#include "programs/classifier.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "errors/error.h"
#include "measure/timer.h"

namespace kqat::programs {
namespace {

int ChannelsOf(const runtime::Port& port) { return port.shape.size() == 4 ? port.shape[3] : 1; }

}  // namespace

Classifier::Classifier(std::unique_ptr<runtime::Runtime> runtime, Normalization normalization)
    : runtime_(std::move(runtime)), normalization_(normalization) {
  const auto& inputs = runtime_->inputs();
  const size_t rank = inputs[0].shape.size();
  const bool picture = inputs.size() == 1 && (rank == 3 || rank == 4);
  const int channels = ChannelsOf(inputs[0]);
  Require(picture && (channels == 1 || channels == 3) && inputs[0].shape[1] > 0 && inputs[0].shape[2] > 0,
          "The model does not take pictures. Received: other inputs than [batch, height, width, 1 or 3]. Use a "
          "classifier of pictures.");
  Require(std::isfinite(normalization.mean) && std::isfinite(normalization.std) && normalization.std != 0.0f,
          "Pixels become (value - mean) / std. Received: a --mean or --std that is not finite, or a --std of 0. Use "
          "--mean 0 --std 255 for values from 0 to 1.");
  Require(runtime_->outputs()[0].SampleValues() > 0,
          "The model has no classes. Received: an empty output. Use another.");
}

std::vector<uint8_t> Classifier::Prepare(const image::Image& image) const {
  const runtime::Port& port = runtime_->inputs()[0];
  std::vector<float> values =
      image::Resize(image::WithChannels(image, ChannelsOf(port)), port.shape[1], port.shape[2]);
  for (float& value : values) value = (value - normalization_.mean) / normalization_.std;
  std::vector<uint8_t> stored(port.SampleBytes());
  port.Encode(values.data(), values.size(), stored.data());
  return stored;
}

double Classifier::Run(const std::vector<std::vector<uint8_t>>& prepared) {
  Require(prepared.size() <= runtime_->batch(), "Too many pictures for one batch. Received: more. Use Resize.");
  const size_t size = runtime_->outputs()[0].SampleBytes() * runtime_->batch();
  results_.resize(size);
  const measure::Timer timer;
  uint8_t* input = runtime_->input(0);
  for (const std::vector<uint8_t>& sample : prepared) {
    std::memcpy(input, sample.data(), sample.size());
    input += sample.size();
  }
  runtime_->Run();
  std::memcpy(results_.data(), runtime_->output(0), size);
  return timer.Microseconds();
}

std::vector<uint8_t> Classifier::Stored(size_t sample) const {
  const size_t size = runtime_->outputs()[0].SampleBytes();
  const auto start = results_.begin() + static_cast<std::ptrdiff_t>(sample * size);
  return {start, start + static_cast<std::ptrdiff_t>(size)};
}

std::vector<float> Classifier::Scores(size_t sample) const {
  const runtime::Port& port = runtime_->outputs()[0];
  return port.Decode(results_.data() + sample * port.SampleBytes(), port.SampleValues());
}

size_t Best(const std::vector<float>& scores) {
  return static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

}  // namespace kqat::programs
