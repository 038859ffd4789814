#include "packing/form.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "errors/error.h"

namespace kqat::packing {
namespace {

using nlohmann::json;

constexpr char kMagic[] = "KQATPACK";
constexpr size_t kMagicSize = 8;
constexpr size_t kTrailer = kMagicSize + 2 * sizeof(uint32_t);  // then the size of the file proper and its CRC-32

bool HasMagic(const std::vector<uint8_t>& bytes) {
  return bytes.size() >= kTrailer && std::memcmp(&bytes[bytes.size() - kTrailer], kMagic, kMagicSize) == 0;
}

uint32_t Number(const std::vector<uint8_t>& bytes, size_t position) {
  uint32_t value;
  std::memcpy(&value, &bytes[position], sizeof value);
  return value;
}

std::vector<std::pair<int64_t, int64_t>> Pairs(const json& lists, const char* name) {
  const auto found = lists.find(name);
  RequireSound(found != lists.end() && found->is_array(), "a metadata entry kqat_packed of odd form");
  std::vector<std::pair<int64_t, int64_t>> pairs;
  std::set<int64_t> seen;
  for (const json& pair : *found) {
    const bool sound =
        pair.is_array() && pair.size() == 2 && pair[0].is_number_integer() && pair[1].is_number_integer();
    RequireSound(sound && seen.insert(pair[0].get<int64_t>()).second, "a metadata entry kqat_packed of odd form");
    pairs.emplace_back(pair[0].get<int64_t>(), pair[1].get<int64_t>());
  }
  return pairs;
}

// Returns a finite float above 0.
float Magnitude(const json& value) {
  RequireSound(value.is_number_float(), "a metadata entry kqat_packed of odd form");
  const double magnitude = value.get<double>();
  const double largest = std::numeric_limits<float>::max();
  RequireSound(magnitude <= largest && static_cast<float>(magnitude) > 0, "weights of an odd magnitude");
  return static_cast<float>(magnitude);
}

// Returns the floats that are stored as signs; files without any have no such list.
std::vector<FloatSigns> Floats(const json& lists) {
  std::vector<FloatSigns> floats;
  const auto found = lists.find("floats");
  if (found == lists.end()) return floats;
  RequireSound(found->is_array(), "a metadata entry kqat_packed of odd form");
  for (const json& entry : *found) {
    const bool sound = entry.is_array() && entry.size() == 3 && entry[0].is_number_integer() &&
                       entry[1].is_number_integer() && entry[2].is_array();
    RequireSound(sound, "a metadata entry kqat_packed of odd form");
    FloatSigns& added = floats.emplace_back(FloatSigns{entry[0].get<int64_t>(), entry[1].get<int64_t>(), {}});
    for (const json& value : entry[2]) added.magnitudes.push_back(Magnitude(value));
  }
  return floats;
}

// Whether something besides the entry uses the last buffer.
bool IsShared(const flatbuffer::Model& model, uint32_t buffer) {
  for (const flatbuffer::Subgraph& graph : model.subgraphs) {
    for (const flatbuffer::Tensor& t : graph.tensors) {
      if (t.buffer == buffer) return true;
    }
  }
  const auto uses = [&](const flatbuffer::Metadata& m) { return m.buffer == buffer; };
  return std::count_if(model.metadata.begin(), model.metadata.end(), uses) > 1;
}

}  // namespace

void RequireSound(bool condition, const char* problem) {
  if (condition) return;
  throw Error("The packed .tflite file is damaged. Received: a file with " + std::string(problem) +
              ". Copy or export it again.");
}

bool IsPacked(const std::vector<uint8_t>& bytes) {
  if (HasMagic(bytes)) return true;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.find(kEntry) != std::string_view::npos;
}

size_t Unsealed(const std::vector<uint8_t>& bytes) {
  RequireSound(HasMagic(bytes), "an end that is missing or not its own");
  const size_t size = bytes.size() - kTrailer;
  RequireSound(Number(bytes, size + kMagicSize) == size, "an end that is missing or not its own");
  const auto checksum = crc32_z(0, bytes.data(), size);
  RequireSound(checksum == Number(bytes, size + kMagicSize + sizeof(uint32_t)), "a wrong checksum");
  return size;
}

Lists ReadLists(const flatbuffer::Model& model) {
  RequireSound(!model.metadata.empty() && model.metadata.back().name == kEntry,
               "no metadata entry kqat_packed at the end");
  const uint32_t last = model.metadata.back().buffer;
  RequireSound(last > 0 && last + size_t{1} == model.buffers.size() && !IsShared(model, last),
               "a metadata entry kqat_packed in shared data");
  const flatbuffer::Range range = model.buffers[last].data;
  const uint8_t* text = model.table.file().data() + range.position;
  const json lists = json::parse(text, text + range.size, nullptr, /*allow_exceptions=*/false);
  RequireSound(lists.is_object(), "a metadata entry kqat_packed that is no JSON object");
  return {Pairs(lists, "tensors"), Pairs(lists, "versions"), Floats(lists)};
}

}  // namespace kqat::packing
