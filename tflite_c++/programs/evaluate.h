// A model on a whole data set.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/dataset.h"
#include "measure/statistics.h"
#include "programs/classifier.h"

namespace kqat::programs {

struct Evaluation {
  size_t samples = 0;
  std::optional<double> accuracy;  // of the samples whose class is known
  measure::Summary microseconds;   // of a run of one batch
  std::vector<uint8_t> outputs;    // the first output of every sample, as stored
};

// Runs every sample, at most `limit` of them, in batches of the model's size. The last batch is filled up with its last
// sample where the model's batch cannot change.
Evaluation Evaluate(Classifier& classifier, const data::DataSet& set, size_t limit);

}  // namespace kqat::programs
