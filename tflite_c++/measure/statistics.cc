#include "measure/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kqat::measure {
namespace {

// Returns a quantile of sorted values, between two of them where it falls there, as NumPy does.
double Quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - std::floor(at));
}

}  // namespace

Summary Summarize(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {sum / static_cast<double>(values.size()), Quantile(values, 0.5), Quantile(values, 0.95), values.front()};
}

}  // namespace kqat::measure
