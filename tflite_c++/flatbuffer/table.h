// Tables of a FlatBuffers file, their fields found by number and every offset checked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flatbuffer/view.h"

namespace kqat::flatbuffer {

// One table. A field is its number in the schema, counted from 0; a union takes two.
class Table {
 public:
  Table(const View& file, size_t position);

  size_t position() const { return position_; }
  const View& file() const { return *file_; }

  // Returns where a field lies, or 0 if the table leaves it out.
  size_t Find(int field) const;

  template <typename T>
  T Number(int field, T absent = T()) const {
    const size_t at = Find(field);
    return at ? file_->Number<T>(at) : absent;
  }

  // Returns the table that a field points to, if any.
  std::optional<Table> Child(int field) const;

  // Returns where the bytes of a vector of bytes, or of a string, lie; nothing if it is left out.
  Range Bytes(int field) const;
  std::string Text(int field) const;

  // Returns a copy of a vector of numbers.
  template <typename T>
  std::vector<T> Numbers(int field) const {
    const size_t at = Find(field);
    if (!at) return {};
    const Range range = file_->Elements(Target(at), sizeof(T));
    file_->Charge(range.size);
    std::vector<T> values(range.size / sizeof(T));
    if (range.size) std::memcpy(values.data(), file_->data() + range.position, range.size);
    return values;
  }

  // Returns the tables that a vector points to.
  std::vector<Table> Tables(int field) const;

 private:
  size_t Target(size_t at) const { return at + file_->Number<uint32_t>(at); }

  const View* file_;
  size_t position_;
  size_t index_;       // of the list of fields
  size_t index_size_;  // in bytes
};

// Returns the root table of a file.
//
// Throws Error: it is not a `.tflite` file.
Table Root(const View& file);

}  // namespace kqat::flatbuffer
