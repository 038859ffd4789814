// Pictures with or without the number of their class.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "image/image.h"

namespace kqat::data {

constexpr int kUnknown = -1;

class DataSet {
 public:
  virtual ~DataSet() = default;
  virtual size_t size() const = 0;
  virtual image::Image Picture(size_t index) const = 0;

  // Returns the class, or kUnknown.
  virtual int Label(size_t index) const = 0;
};

// Opens an IDX file of pictures, or a folder of them.
//
// Args:
//   path: An IDX file of 3 or 4 dimensions (samples first). Or a folder: pictures in subfolders are of the classes that
//     the subfolders' names have in `names`, or without names by their alphabetical order; others are unknown.
//   labels: An IDX file of one dimension, or "".
//
// Throws Error: the path is none of these, or the labels do not belong to it.
std::unique_ptr<DataSet> Open(const std::string& path, const std::string& labels,
                              const std::vector<std::string>& names);

}  // namespace kqat::data
