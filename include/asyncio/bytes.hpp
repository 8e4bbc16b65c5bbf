// SPDX-License-Identifier: BSL-1.0
//
// Bytes, views of bytes, and Python's way of printing them.
//
// Python's `bytes` is a std::string here. What only reads bytes takes a BytesView, what fills a
// caller's buffer takes MutableBytes; neither owns anything, and whoever passes one keeps the bytes
// alive for as long as the function says.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace asyncio::inline v1 {

using Bytes = std::string;

namespace detail {

template <class T>
concept byte_like = std::same_as<std::remove_cv_t<T>, char> ||
                    std::same_as<std::remove_cv_t<T>, unsigned char> ||
                    std::same_as<std::remove_cv_t<T>, signed char> ||
                    std::same_as<std::remove_cv_t<T>, char8_t> ||
                    std::same_as<std::remove_cv_t<T>, std::byte>;

// Asio's buffers point to void.
template <class T>
concept bytes_or_void = std::is_void_v<T> || byte_like<T>;

// Contiguous bytes: strings, vectors, arrays, spans, Asio's const_buffer and mutable_buffer.
template <class T>
concept bytes_source = requires(T& source) {
  requires std::is_pointer_v<decltype(source.data())>;
  requires bytes_or_void<std::remove_pointer_t<decltype(source.data())>>;
  { source.size() } -> std::convertible_to<std::size_t>;
};

template <class T>
concept writable_bytes_source =
    bytes_source<T> && std::convertible_to<decltype(std::declval<T&>().data()), void*>;

}  // namespace detail

class MutableBytes;

// A view of bytes somebody else owns.
class BytesView {
 public:
  using value_type = char;
  using const_iterator = const char*;
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);

  constexpr BytesView() noexcept = default;
  constexpr BytesView(const char* data, std::size_t size) noexcept : data_(data), size_(size) {}
  BytesView(const void* data, std::size_t size) noexcept
      : BytesView(static_cast<const char*>(data), size) {}
  // A literal, up to its first null byte.
  constexpr BytesView(const char* text) noexcept : BytesView(std::string_view(text)) {}
  BytesView(std::nullptr_t) = delete;
  constexpr BytesView(std::string_view text) noexcept : BytesView(text.data(), text.size()) {}

  template <class Source>
    requires(detail::bytes_source<const Source> && !std::same_as<Source, BytesView>)
  constexpr BytesView(const Source& source) noexcept {
    const auto* data = source.data();
    if constexpr (std::same_as<decltype(data), const char*>) {
      data_ = data;
    } else {
      data_ = static_cast<const char*>(static_cast<const void*>(data));
    }
    size_ = source.size();
  }

  constexpr const char* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr const char* begin() const noexcept { return data_; }
  constexpr const char* end() const noexcept { return data_ + size_; }
  constexpr char operator[](std::size_t index) const noexcept { return data_[index]; }

  // Python's slice [position:position + count]: what lies outside is left out.
  constexpr BytesView subview(std::size_t position, std::size_t count = npos) const noexcept {
    const std::size_t start = position < size_ ? position : size_;
    const std::size_t left = size_ - start;
    return BytesView(data_ + start, count < left ? count : left);
  }
  constexpr BytesView substr(std::size_t position, std::size_t count = npos) const noexcept {
    return subview(position, count);
  }

  std::string str() const { return std::string(data_, size_); }
  constexpr operator std::string_view() const noexcept { return std::string_view(data_, size_); }
  explicit operator std::string() const { return str(); }

  friend constexpr bool operator==(BytesView a, BytesView b) noexcept {
    return std::string_view(a) == std::string_view(b);
  }

 private:
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

// A view of memory that may be written, such as BufferedProtocol::get_buffer gives.
class MutableBytes {
 public:
  using value_type = char;
  using iterator = char*;
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);

  constexpr MutableBytes() noexcept = default;
  constexpr MutableBytes(char* data, std::size_t size) noexcept : data_(data), size_(size) {}
  MutableBytes(void* data, std::size_t size) noexcept
      : MutableBytes(static_cast<char*>(data), size) {}

  template <class Source>
    requires(detail::writable_bytes_source<Source> &&
             !std::same_as<std::remove_cvref_t<Source>, MutableBytes>)
  constexpr MutableBytes(Source&& source) noexcept
      : data_(static_cast<char*>(static_cast<void*>(source.data()))), size_(source.size()) {}

  constexpr char* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr char* begin() const noexcept { return data_; }
  constexpr char* end() const noexcept { return data_ + size_; }
  constexpr char& operator[](std::size_t index) const noexcept { return data_[index]; }

  constexpr MutableBytes subview(std::size_t position, std::size_t count = npos) const noexcept {
    const std::size_t start = position < size_ ? position : size_;
    const std::size_t left = size_ - start;
    return MutableBytes(data_ + start, count < left ? count : left);
  }

  std::string str() const { return std::string(data_, size_); }

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

// Python's repr() of bytes: b'...', with double quotes if there is a ' and no ".
std::string repr(BytesView bytes);
// Python's repr() of a str given in UTF-8. What is not valid UTF-8 is shown as \x.. bytes.
std::string repr_str(std::string_view text);
// Python's repr() of a float: the shortest text that reads back as the same number.
std::string repr_float(double value);

}  // namespace asyncio::inline v1
