#include "programs/evaluate.h"

#include <algorithm>

namespace kqat::programs {
namespace {

// Counts of what was right.
struct Tally {
  size_t known = 0;
  size_t right = 0;

  void Add(int label, size_t best) {
    if (label == data::kUnknown) return;
    ++known;
    right += static_cast<size_t>(label) == best;
  }
};

std::vector<std::vector<uint8_t>> Prepare(const Classifier& classifier, const data::DataSet& set, size_t start,
                                          size_t count) {
  std::vector<std::vector<uint8_t>> prepared;
  for (size_t i = start; i < start + count; ++i) prepared.push_back(classifier.Prepare(set.Picture(i)));
  return prepared;
}

}  // namespace

Evaluation Evaluate(Classifier& classifier, const data::DataSet& set, size_t limit) {
  Evaluation result;
  result.samples = std::min(limit, set.size());
  const size_t batch = classifier.runtime().batch();
  std::vector<double> times;
  Tally tally;
  for (size_t start = 0; start < result.samples; start += batch) {
    const size_t count = std::min(batch, result.samples - start);
    auto prepared = Prepare(classifier, set, start, count);
    prepared.resize(batch, prepared.back());
    if (times.empty()) classifier.Run(prepared);  // a first run is not what later ones are
    times.push_back(classifier.Run(prepared));
    for (size_t i = 0; i < count; ++i) {
      const std::vector<uint8_t> stored = classifier.Stored(i);
      result.outputs.insert(result.outputs.end(), stored.begin(), stored.end());
      tally.Add(set.Label(start + i), Best(classifier.Scores(i)));
    }
  }
  if (tally.known) result.accuracy = static_cast<double>(tally.right) / static_cast<double>(tally.known);
  result.microseconds = measure::Summarize(std::move(times));
  return result;
}

}  // namespace kqat::programs
