// What a list of times says.
#pragma once

#include <vector>

namespace kqat::measure {

// In the unit of the values.
struct Summary {
  double mean = 0;
  double median = 0;
  double p95 = 0;  // 95 % of the values are at most this
  double least = 0;
};

// Returns zeros for no values.
Summary Summarize(std::vector<double> values);

}  // namespace kqat::measure
