// Measures how long a file takes, from loading to running.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "errors/error.h"
#include "files/file.h"
#include "flatbuffer/schema.h"
#include "measure/memory.h"
#include "measure/statistics.h"
#include "measure/timer.h"
#include "programs/options.h"
#include "runtime/open.h"

namespace kqat::programs {
namespace {

struct Arguments {
  std::string model, json;
  size_t warmup = 20, runs = 200, batch_size = 0;
  runtime::OpenOptions open;
};

void AddOptions(CLI::App& app, Arguments& args) {
  app.add_option("--model", args.model, "the .tflite file, packed or not")->required();
  app.add_option("--warmup", args.warmup, "runs that do not count")->check(Count())->capture_default_str();
  app.add_option("--runs", args.runs, "runs that count")->capture_default_str()->check(CLI::Range(1, 100000000));
  app.add_option("--threads", args.open.threads, "threads of the runtime")->capture_default_str();
  app.add_option("--lcompute", args.open.lcompute, "1: run binary operators of Larq Compute Engine")
      ->capture_default_str();
  app.add_option("--batch-size", args.batch_size, "samples of one run; by default what the file says")
      ->check(Count());
  app.add_flag("--trust", args.open.trust, "skip the first run in a process of its own");
  app.add_option("--json", args.json, "write the results to this file instead of the terminal");
}

// Returns stored values for a port: any codes for whole bytes, 0 to 1 for floats, 0 for indices.
std::vector<uint8_t> Sample(const runtime::Port& port, size_t batch, std::mt19937& random) {
  std::vector<uint8_t> stored(batch * port.SampleBytes());
  if (port.type == schema::kFloat32) {
    std::uniform_real_distribution<float> share(0, 1);
    for (size_t i = 0; i + sizeof(float) <= stored.size(); i += sizeof(float)) {
      const float value = share(random);
      std::memcpy(&stored[i], &value, sizeof value);
    }
  } else if (schema::BitsOf(port.type) <= 16) {
    for (uint8_t& byte : stored) byte = static_cast<uint8_t>(random() & 0xFF);
  }
  return stored;
}

class Bench {
 public:
  explicit Bench(runtime::Runtime& runtime) : runtime_(runtime) {
    std::mt19937 random(0);
    for (const runtime::Port& port : runtime.inputs()) inputs_.push_back(Sample(port, runtime.batch(), random));
    for (const runtime::Port& port : runtime.outputs()) outputs_.emplace_back(runtime.batch() * port.SampleBytes());
  }

  // Returns the microseconds from copying the inputs in to having copied the outputs out.
  double Run() {
    const measure::Timer timer;
    for (size_t i = 0; i < inputs_.size(); ++i) std::memcpy(runtime_.input(i), inputs_[i].data(), inputs_[i].size());
    runtime_.Run();
    for (size_t i = 0; i < outputs_.size(); ++i) {
      std::memcpy(outputs_[i].data(), runtime_.output(i), outputs_[i].size());
    }
    return timer.Microseconds();
  }

 private:
  runtime::Runtime& runtime_;
  std::vector<std::vector<uint8_t>> inputs_, outputs_;
};

nlohmann::json Measure(const Arguments& args) {
  const size_t size = files::ReadFile(args.model).size();
  const measure::Timer load;
  const auto runtime = runtime::Open(args.model, args.open);
  if (args.batch_size) runtime->Resize(args.batch_size);
  const double load_us = load.Microseconds();
  Bench bench(*runtime);
  const double first = bench.Run();
  for (size_t i = 0; i < args.warmup; ++i) bench.Run();
  std::vector<double> times;
  for (size_t i = 0; i < args.runs; ++i) times.push_back(bench.Run());
  const measure::Summary found = measure::Summarize(std::move(times));
  return {{"model", args.model},       {"bytes", size},
          {"threads", args.open.threads}, {"batch", runtime->batch()},
          {"runs", args.runs},         {"load_us", load_us},
          {"first_us", first},         {"mean_us", found.mean},
          {"median_us", found.median}, {"p95_us", found.p95},
          {"least_us", found.least},   {"peak_bytes", measure::PeakBytes()}};
}

void Main(const Arguments& args) {
  const std::string text = Measure(args).dump(2) + "\n";
  if (args.json.empty()) {
    std::fputs(text.c_str(), stdout);
  } else {
    files::WriteFile(args.json, text.data(), text.size());
  }
}

}  // namespace
}  // namespace kqat::programs

int main(int argc, char** argv) {
  CLI::App app("Measures how long a file takes, from loading to running.");
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
