#include "files/file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "errors/error.h"

namespace kqat::files {
namespace {

constexpr size_t kChunk = 1 << 20;

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

[[noreturn]] void Fail(const std::string& path, const char* what) {
  throw Error("The file cannot be " + std::string(what) + ": " + std::strerror(errno) + ". Received: '" + path +
              "'. Use a path that exists and that you may use.");
}

}  // namespace

std::vector<uint8_t> ReadFile(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) Fail(path, "read");
  std::vector<uint8_t> bytes;
  size_t size = 0;
  do {
    bytes.resize(size + kChunk);
    size += std::fread(bytes.data() + size, 1, kChunk, file.get());
  } while (size == bytes.size());
  if (std::ferror(file.get())) Fail(path, "read");
  bytes.resize(size);
  return bytes;
}

void WriteFile(const std::string& path, const void* data, size_t size) {
  File file(std::fopen(path.c_str(), "wb"));
  const bool written = file && (size == 0 || std::fwrite(data, 1, size, file.get()) == size);  // of nothing, no pointer
  if (!written || std::fclose(file.release()) != 0) Fail(path, "written");
}

}  // namespace kqat::files
