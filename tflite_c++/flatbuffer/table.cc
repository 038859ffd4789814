#include "flatbuffer/table.h"

#include <cstring>

#include "errors/error.h"

namespace kqat::flatbuffer {
namespace {

constexpr char kIdentifier[] = "TFL3";
constexpr size_t kEntry = sizeof(uint16_t);
constexpr size_t kHead = 2 * kEntry;  // of a list of fields: its own size and the table's

// Returns where a table's list of fields lies: a signed distance before the table.
size_t IndexOf(const View& file, size_t position) {
  const int64_t index = static_cast<int64_t>(position) - file.Number<int32_t>(position);
  if (index < 0) {
    throw Error("The .tflite file is damaged. Received: a table whose fields lie before the file. Copy or export it "
                "again.");
  }
  return static_cast<size_t>(index);
}

}  // namespace

Table::Table(const View& file, size_t position)
    : file_(&file), position_(position), index_(IndexOf(file, position)), index_size_(file.Number<uint16_t>(index_)) {
  file.Require(index_, index_size_ < kHead ? kHead : index_size_);
  file.Require(position, file.Number<uint16_t>(index_ + kEntry));
}

size_t Table::Find(int field) const {
  const size_t entry = kHead + kEntry * static_cast<size_t>(field);
  if (entry + kEntry > index_size_) return 0;
  const size_t offset = file_->Number<uint16_t>(index_ + entry);
  return offset ? position_ + offset : 0;
}

std::optional<Table> Table::Child(int field) const {
  const size_t at = Find(field);
  if (!at) return std::nullopt;
  return Table(*file_, Target(at));
}

Range Table::Bytes(int field) const {
  const size_t at = Find(field);
  return at ? file_->Elements(Target(at), 1) : Range{};
}

std::string Table::Text(int field) const {
  const Range range = Bytes(field);
  file_->Charge(range.size);
  return {reinterpret_cast<const char*>(file_->data()) + range.position, range.size};
}

std::vector<Table> Table::Tables(int field) const {
  const size_t at = Find(field);
  if (!at) return {};
  const Range range = file_->Elements(Target(at), sizeof(uint32_t));
  file_->Charge(range.size / sizeof(uint32_t) * sizeof(Table));
  std::vector<Table> tables;
  tables.reserve(range.size / sizeof(uint32_t));
  for (size_t entry = range.position; entry < range.position + range.size; entry += sizeof(uint32_t)) {
    tables.emplace_back(*file_, Target(entry));
  }
  return tables;
}

Table Root(const View& file) {
  constexpr size_t kLeast = 8;
  if (file.size() < kLeast || std::memcmp(file.data() + 4, kIdentifier, 4) != 0) {
    throw Error("These bytes are not a .tflite file: the identifier 'TFL3' is missing. Received: " +
                std::to_string(file.size()) + " bytes. Use a file written by kqat.export_tflite.");
  }
  return Table(file, file.Number<uint32_t>(0));
}

}  // namespace kqat::flatbuffer
