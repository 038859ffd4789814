#include "data/gzip.h"

#include <zlib.h>

#include <limits>

#include "errors/error.h"

namespace kqat::data {
namespace {

constexpr size_t kChunk = 1 << 20;
constexpr size_t kLargest = size_t{1} << 30;
constexpr int kGzipWindow = 15 + 16;  // the largest window, and gzip's header instead of zlib's

class Inflater {
 public:
  explicit Inflater(const std::vector<uint8_t>& bytes) {
    Require(bytes.size() <= std::numeric_limits<uInt>::max() && inflateInit2(&stream_, kGzipWindow) == Z_OK,
            "The gzip file cannot be read. Received: more than 4 GiB, or no memory. Use a smaller file.");
    stream_.next_in = const_cast<uint8_t*>(bytes.data());  // zlib only reads it
    stream_.avail_in = static_cast<uInt>(bytes.size());
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Writes the next bytes, at most `size` of them, and returns how many there were; `ended` tells whether they were
  // the last ones.
  size_t Next(uint8_t* out, size_t size, bool& ended) {
    stream_.next_out = out;
    stream_.avail_out = static_cast<uInt>(size);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    Require(status == Z_OK || status == Z_STREAM_END,
            "The gzip file is damaged or cut off. Received: data that cannot be decompressed. Copy it again.");
    ended = status == Z_STREAM_END;
    return size - stream_.avail_out;
  }

 private:
  z_stream stream_{};
};

// Decompresses into nothing: a few megabytes may stand for any number of them.
size_t SizeOf(const std::vector<uint8_t>& bytes) {
  Inflater inflater(bytes);
  std::vector<uint8_t> chunk(kChunk);
  size_t size = 0;
  for (bool ended = false; !ended;) {
    size += inflater.Next(chunk.data(), chunk.size(), ended);
    Require(size <= kLargest, "The gzip file is too large. Received: more than 1 GiB. Use smaller files.");
  }
  return size;
}

}  // namespace

bool IsGzip(const std::vector<uint8_t>& bytes) { return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b; }

std::vector<uint8_t> Gunzip(const std::vector<uint8_t>& bytes) {
  std::vector<uint8_t> out(SizeOf(bytes) + 1);  // with a byte of room, so that the end is seen
  Inflater inflater(bytes);
  size_t size = 0;
  for (bool ended = false; !ended;) size += inflater.Next(out.data() + size, out.size() - size, ended);
  out.resize(size);
  return out;
}

}  // namespace kqat::data
