// Names what is in a picture, or measures a model on a whole set of them.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "data/idx.h"
#include "data/labels.h"
#include "errors/error.h"
#include "files/file.h"
#include "measure/memory.h"
#include "programs/evaluate.h"
#include "programs/options.h"
#include "runtime/open.h"

namespace kqat::programs {
namespace {

struct Arguments {
  std::string model, labels, image, batch, batch_labels, outputs, json;
  size_t top = 5, index = 0, batch_size = 0, limit = std::numeric_limits<size_t>::max();
  runtime::OpenOptions open;
  Normalization normalization;
};

void AddOptions(CLI::App& app, Arguments& args) {
  app.add_option("--model", args.model, "the .tflite file, packed or not")->required();
  app.add_option("--labels", args.labels, "names of the classes, one a line");
  app.add_option("--image", args.image, "PNG, JPEG, BMP, PGM, PPM, or IDX with --index");
  app.add_option("--index", args.index, "which picture of an IDX file")->check(Count());
  app.add_option("--top", args.top, "how many classes to name")
      ->check(Count())
      ->capture_default_str();
  app.add_option("--threads", args.open.threads, "threads of the runtime")->capture_default_str();
  app.add_option("--lcompute", args.open.lcompute, "1: run binary operators of Larq Compute Engine")
      ->capture_default_str();
  app.add_option("--mean", args.normalization.mean, "subtracted from pixels of 0 to 255")->capture_default_str();
  app.add_option("--std", args.normalization.std, "pixels are divided by this then")->capture_default_str();
  app.add_flag("--trust", args.open.trust, "skip the first run in a process of its own");
  app.add_option("--batch", args.batch, "evaluate an IDX file, or a folder with a subfolder a class");
  app.add_option("--batch-labels", args.batch_labels, "IDX file with the classes of --batch");
  app.add_option("--batch-size", args.batch_size, "samples of one run; by default what the file says")
      ->check(Count());
  app.add_option("--limit", args.limit, "evaluate only so many samples")->check(Count());
  app.add_option("--outputs", args.outputs, "write the stored outputs of --batch, raw, to this file");
  app.add_option("--json", args.json, "write the results of --batch to this file");
}

image::Image ReadPicture(const Arguments& args) {
  const std::vector<uint8_t> bytes = files::ReadFile(args.image);
  if (!data::LooksLikeIdx(bytes)) return image::Decode(bytes);
  const auto set = data::Open(args.image, "", {});
  Require(args.index < set->size(), "There is no such picture in the file. Received: --index. Use a smaller one.");
  return set->Picture(args.index);
}

void LabelOne(Classifier& classifier, const Arguments& args, const std::vector<std::string>& names) {
  const std::vector<uint8_t> prepared = classifier.Prepare(ReadPicture(args));
  const double microseconds = classifier.Run(std::vector(classifier.runtime().batch(), prepared));
  const std::vector<float> scores = classifier.Scores(0);
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  for (size_t i = 0; i < std::min(args.top, order.size()); ++i) {
    const size_t label = order[i];
    std::printf("%.6f: %zu %s\n", static_cast<double>(scores[label]), label,
                label < names.size() ? names[label].c_str() : "");
  }
  std::printf("%.1f us\n", microseconds);
}

nlohmann::json ToJson(const Evaluation& found, size_t batch) {
  nlohmann::json json = {{"samples", found.samples},
                         {"batch", batch},
                         {"mean_us", found.microseconds.mean},
                         {"median_us", found.microseconds.median},
                         {"p95_us", found.microseconds.p95},
                         {"peak_bytes", measure::PeakBytes()}};
  if (found.accuracy) json["accuracy"] = *found.accuracy;
  return json;
}

void EvaluateAll(Classifier& classifier, const Arguments& args, const std::vector<std::string>& names) {
  const auto set = data::Open(args.batch, args.batch_labels, names);
  const Evaluation found = Evaluate(classifier, *set, args.limit);
  const size_t batch = classifier.runtime().batch();
  std::printf("%zu samples", found.samples);
  if (found.accuracy) std::printf(", accuracy %.4f %%", 100 * *found.accuracy);
  const measure::Summary& us = found.microseconds;
  std::printf("\nlatency of a batch of %zu: mean %.1f us, median %.1f us, p95 %.1f us\n", batch, us.mean, us.median,
              us.p95);
  std::printf("peak memory %.1f MiB\n", static_cast<double>(measure::PeakBytes()) / (1 << 20));
  if (!args.outputs.empty()) files::WriteFile(args.outputs, found.outputs.data(), found.outputs.size());
  if (!args.json.empty()) {
    const std::string text = ToJson(found, batch).dump(2) + "\n";
    files::WriteFile(args.json, text.data(), text.size());
  }
}

void Main(const Arguments& args) {
  Require(args.image.empty() != args.batch.empty(),
          "What to look at? Received: both or neither of --image and --batch. Use one.");
  const std::vector<std::string> names =
      args.labels.empty() ? std::vector<std::string>() : data::ReadLabels(args.labels);
  Classifier classifier(runtime::Open(args.model, args.open), args.normalization);
  if (args.batch_size) classifier.runtime().Resize(args.batch_size);
  args.batch.empty() ? LabelOne(classifier, args, names) : EvaluateAll(classifier, args, names);
}

}  // namespace
}  // namespace kqat::programs

int main(int argc, char** argv) {
  CLI::App app("Names what is in a picture, or measures a model on a whole set of them.");
  kqat::programs::Arguments args;
  AddOptions(app, args);
  CLI11_PARSE(app, argc, argv);
  try {
    Main(args);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
