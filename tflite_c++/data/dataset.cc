#include "data/dataset.h"

#include <algorithm>
#include <filesystem>

#include "data/idx.h"
#include "errors/error.h"
#include "files/file.h"

namespace kqat::data {
namespace {

namespace fs = std::filesystem;

class IdxSet : public DataSet {
 public:
  IdxSet(Idx pictures, std::vector<uint8_t> labels) : pictures_(std::move(pictures)), labels_(std::move(labels)) {}

  size_t size() const override { return pictures_.shape[0]; }

  image::Image Picture(size_t index) const override {
    image::Image image;
    image.height = static_cast<int>(pictures_.shape[1]);
    image.width = static_cast<int>(pictures_.shape[2]);
    image.channels = pictures_.shape.size() == 4 ? static_cast<int>(pictures_.shape[3]) : 1;
    const size_t size = pictures_.values.size() / this->size();
    const auto start = pictures_.values.begin() + static_cast<std::ptrdiff_t>(index * size);
    image.values.assign(start, start + static_cast<std::ptrdiff_t>(size));
    return image;
  }

  int Label(size_t index) const override { return labels_.empty() ? kUnknown : labels_[index]; }

 private:
  Idx pictures_;
  std::vector<uint8_t> labels_;
};

struct Entry {
  fs::path path;
  int label;
};

class FolderSet : public DataSet {
 public:
  explicit FolderSet(std::vector<Entry> entries) : entries_(std::move(entries)) {}

  size_t size() const override { return entries_.size(); }
  image::Image Picture(size_t index) const override {
    return image::Decode(files::ReadFile(entries_[index].path.string()));
  }
  int Label(size_t index) const override { return entries_[index].label; }

 private:
  std::vector<Entry> entries_;
};

void CheckPictures(const Idx& pictures) {
  const std::vector<uint32_t>& shape = pictures.shape;
  const bool rank = shape.size() == 3 || (shape.size() == 4 && (shape[3] == 1 || shape[3] == 3));
  Require(rank && !pictures.values.empty(),
          "The IDX file does not hold pictures. Received: another shape. Use [samples, height, width], or with 1 or 3 "
          "channels behind.");
  constexpr uint32_t kLargest = 16384;
  Require(shape[1] <= kLargest && shape[2] <= kLargest,
          "The pictures are too large. Received: an IDX file of larger ones. Use at most 16384 by 16384.");
}

std::unique_ptr<DataSet> OpenIdx(const std::string& path, const std::string& labels) {
  Idx pictures = ReadIdx(files::ReadFile(path));
  CheckPictures(pictures);
  Idx classes;
  if (!labels.empty()) {
    classes = ReadIdx(files::ReadFile(labels));
    Require(classes.shape.size() == 1 && classes.shape[0] == pictures.shape[0],
            "The labels do not belong to the pictures. Received: another number of them. Use the files of one set.");
  }
  return std::make_unique<IdxSet>(std::move(pictures), std::move(classes.values));
}

std::vector<fs::path> Sorted(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

bool IsPicture(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static const std::vector<std::string> kEndings = {".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm"};
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

int ClassOf(const std::string& name, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw Error("A folder is named after no class. Received: '" + name +
                "'. Use names from the file of labels for the folders, or leave --labels out.");
  }
  return static_cast<int>(found - names.begin());
}

std::unique_ptr<DataSet> OpenFolder(const std::string& path, const std::vector<std::string>& names) {
  std::vector<Entry> entries;
  int order = 0;
  for (const fs::path& inner : Sorted(path)) {
    if (!fs::is_directory(inner)) {
      if (IsPicture(inner)) entries.push_back({inner, kUnknown});
      continue;
    }
    const int label = names.empty() ? order : ClassOf(inner.filename().string(), names);
    ++order;
    for (const fs::path& picture : Sorted(inner)) {
      if (IsPicture(picture)) entries.push_back({picture, label});
    }
  }
  Require(!entries.empty(), "The folder holds no pictures. Received: no file. Use PNG, JPEG, BMP, PGM or PPM files.");
  return std::make_unique<FolderSet>(std::move(entries));
}

}  // namespace

std::unique_ptr<DataSet> Open(const std::string& path, const std::string& labels,
                              const std::vector<std::string>& names) {
  if (!fs::is_directory(path)) return OpenIdx(path, labels);
  Require(labels.empty(),
          "A folder has its classes in the names of its subfolders. Received: --batch-labels. Leave it out.");
  return OpenFolder(path, names);
}

}  // namespace kqat::data
