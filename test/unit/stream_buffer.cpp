// SPDX-License-Identifier: BSL-1.0
#include <asyncio/detail/stream_buffer.hpp>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <asyncio/exceptions.hpp>

using namespace asyncio;
using detail::SeparatorSearch;
using detail::StreamBuffer;

namespace {

StreamBuffer buffer_of(const std::string& content) {
  StreamBuffer buffer;
  buffer.append(content);
  return buffer;
}

/// "start-end" of the match, "none" if there is none.
std::string show(const std::optional<SeparatorSearch::Match>& match) {
  return match ? std::to_string(match->start) + '-' + std::to_string(match->end) : "none";
}

std::string find(const std::vector<Bytes>& separators, BytesView data) {
  SeparatorSearch search;
  return show(search.find(data, separators));
}

/// The same by trying every end and every separator.
std::string find_naively(const std::vector<Bytes>& separators, const std::string& data) {
  for (std::size_t end = 1; end <= data.size(); ++end) {
    std::optional<SeparatorSearch::Match> best;
    for (const Bytes& separator : separators) {
      if (!data.substr(0, end).ends_with(separator)) continue;
      const std::size_t start = end - separator.size();
      if (!best || start > best->start) best = {start, end};
    }
    if (best) return show(best);
  }
  return "none";
}

/// Gives the digits, again and again, but no more than it has.
struct Digits final : detail::ByteSource {
  explicit Digits(std::size_t left) : left(left) {}
  std::size_t available() noexcept override { return left; }
  std::size_t fetch(MutableBytes memory) noexcept override {
    std::size_t count = 0;
    for (char& byte : memory) {
      if (left == 0) break;
      byte = static_cast<char>('0' + given++ % 10);
      --left;
      ++count;
    }
    return count;
  }
  std::size_t left;
  std::size_t given = 0;
};

class Dice {
 public:
  std::size_t roll(std::size_t faces) { return generator_() % faces; }
  std::string text(std::size_t most) {
    std::string text(roll(most + 1), '\0');
    for (char& letter : text) letter = "ab;"[roll(3)];
    return text;
  }

 private:
  std::mt19937 generator_{12345};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_buffer_tests)

BOOST_AUTO_TEST_CASE(what_is_left_at_its_source_counts_and_is_taken_from_there) {
  Digits digits(25);
  StreamBuffer buffer;
  buffer.leave(digits, 25);
  BOOST_TEST(buffer.size() == 25u);
  BOOST_TEST(!buffer.empty());
  BOOST_TEST(buffer.view().empty());
  BOOST_TEST(buffer.take(4) == "0123");
  BOOST_TEST(buffer.take(0) == "");
  BOOST_TEST(digits.given == 4u);
  BOOST_TEST(buffer.size() == 21u);
  BOOST_TEST(buffer.take(100) == "456789012345678901234");
  BOOST_TEST(buffer.empty());
}

BOOST_AUTO_TEST_CASE(what_is_left_at_its_source_is_fetched_before_anything_is_added) {
  Digits digits(12);
  StreamBuffer buffer;
  buffer.leave(digits, 12);
  buffer.append("ab");
  BOOST_TEST(buffer.view().str() == "012345678901ab");
  buffer.clear();
  buffer.leave(digits, 0);
  buffer.fetch();
  BOOST_TEST(buffer.empty());
}

BOOST_AUTO_TEST_CASE(what_was_left_at_a_source_that_broke_is_gone) {
  Digits digits(3);
  StreamBuffer buffer;
  buffer.leave(digits, 10);
  BOOST_TEST(buffer.take(5) == "012");
  BOOST_TEST(buffer.empty());
  BOOST_TEST(buffer.take(5) == "");
  buffer.leave(digits, 10);
  buffer.clear();
  BOOST_TEST(buffer.empty());
}

BOOST_AUTO_TEST_CASE(an_empty_buffer_keeps_the_memory_it_was_told_to_keep) {
  StreamBuffer buffer;
  buffer.reserve(500);
  buffer.append(std::string(500, 'a'));
  const char* const memory = buffer.view().data();
  buffer.drop(500, 1000);
  BOOST_TEST(buffer.empty());
  buffer.append(std::string(400, 'b'));
  BOOST_TEST(buffer.view().data() == memory);
  BOOST_TEST(buffer.view().str() == std::string(400, 'b'));
}

BOOST_AUTO_TEST_CASE(bytes_leave_in_the_order_in_which_they_came) {
  StreamBuffer buffer;
  BOOST_TEST(buffer.empty());
  buffer.append("abc");
  buffer.append("");
  buffer.append("defg");
  BOOST_TEST(buffer.size() == 7u);
  BOOST_TEST(buffer.take(4) == "abcd");
  BOOST_TEST(buffer.view().str() == "efg");
  buffer.drop(1);
  BOOST_TEST(buffer.take(100) == "fg");
  BOOST_TEST(buffer.empty());
  BOOST_TEST(buffer.take(1) == "");
}

BOOST_AUTO_TEST_CASE(whatever_the_order_of_calls) {
  Dice dice;
  StreamBuffer buffer;
  std::string model;
  for (int i = 0; i != 20'000; ++i) {
    if (const std::string data = dice.text(60); dice.roll(2) == 0) {
      buffer.append(data);
      model += data;
    } else if (const std::size_t count = dice.roll(80); dice.roll(4) != 0) {
      BOOST_TEST_REQUIRE(buffer.take(count) == model.substr(0, count));
      model.erase(0, count);
    } else {
      buffer.drop(std::min(count, model.size()));
      model.erase(0, count);
    }
    BOOST_TEST_REQUIRE(buffer.view().str() == model);
    BOOST_TEST_REQUIRE(buffer.empty() == model.empty());
  }
}

BOOST_AUTO_TEST_CASE(reading_does_not_move_what_stays) {
  StreamBuffer buffer = buffer_of(std::string(1000, 'x'));
  const char* const begin = buffer.view().data();
  BOOST_TEST(buffer.take(10).size() == 10u);
  buffer.drop(5);
  BOOST_TEST((buffer.view().data() == begin + 15));
}

BOOST_AUTO_TEST_CASE(a_backlog_is_moved_neither_often_nor_never) {
  constexpr std::size_t backlog = 1000;
  StreamBuffer buffer = buffer_of(std::string(backlog, 'x'));
  std::size_t run = 0, shortest = 100'000, longest = 0;  // steps between two moves
  for (std::size_t step = 0; step != 100'000; ++step, ++run) {
    const char* const before = buffer.view().data();
    buffer.append("y");
    if (buffer.view().data() != before) {
      if (step > 2 * backlog) shortest = std::min(shortest, run);
      run = 0;
    }
    longest = std::max(longest, run);
    buffer.drop(1);
  }
  BOOST_TEST(shortest >= backlog / 2);  // constant costs for each byte
  BOOST_TEST(longest <= 2 * backlog);   // bounded memory
}

BOOST_AUTO_TEST_CASE(all_of_it_is_handed_over_without_a_copy) {
  StreamBuffer buffer = buffer_of(std::string(1000, 'x'));
  const char* const memory = buffer.view().data();
  const Bytes all = buffer.take_all();
  BOOST_TEST((all.data() == memory));
  BOOST_TEST(all == std::string(1000, 'x'));
  BOOST_TEST(buffer.empty());
}

BOOST_AUTO_TEST_CASE(memory_that_is_much_too_large_is_not_handed_over) {
  StreamBuffer buffer = buffer_of(std::string(10'000, 'x'));
  buffer.drop(9'990);
  buffer.append(std::string(90, 'y'));  // moves the ten bytes to the front
  const Bytes all = buffer.take_all();
  BOOST_TEST(all.size() == 100u);
  BOOST_TEST(all.capacity() < 1000u);
}

BOOST_AUTO_TEST_CASE(an_empty_buffer_owns_no_memory) {
  const auto owns_memory = [](const StreamBuffer& buffer) {
    const auto* const begin = reinterpret_cast<const char*>(&buffer);
    const char* const data = buffer.view().data();
    return data < begin || data >= begin + sizeof buffer;
  };
  StreamBuffer buffer = buffer_of(std::string(1000, 'x'));
  BOOST_TEST(owns_memory(buffer));
  buffer.take(1);
  buffer.take(999);
  BOOST_TEST(!owns_memory(buffer));
  buffer.append(std::string(1000, 'x'));
  buffer.take_all();
  BOOST_TEST(!owns_memory(buffer));
  buffer.append(std::string(1000, 'x'));
  buffer.clear();
  BOOST_TEST(!owns_memory(buffer));
}

BOOST_AUTO_TEST_CASE(r208_the_first_occurrence_is_found) {
  BOOST_TEST(find({"\n"}, "ab\ncd\n") == "2-3");
  BOOST_TEST(find({"aaa"}, "QWEaaXYaaaa") == "7-10");
  BOOST_TEST(find({"\n"}, "abcd") == "none");
  BOOST_TEST(find({"\n"}, "") == "none");
  BOOST_TEST(find({Bytes(1, '\0')}, BytesView("a\0b", 3)) == "1-2");
}

BOOST_AUTO_TEST_CASE(r208_the_search_goes_on_where_a_separator_may_have_begun) {
  const std::vector<Bytes> separators{"aaa"};
  SeparatorSearch search;
  BOOST_TEST(show(search.find("xa", separators)) == "none");
  BOOST_TEST(search.scanned() == 0u);
  BOOST_TEST(show(search.find("xxxxa", separators)) == "none");
  BOOST_TEST(search.scanned() == 3u);
  BOOST_TEST(show(search.find("xxxxaa", separators)) == "none");
  BOOST_TEST(search.scanned() == 4u);
  // What was scanned is not looked at again.
  BOOST_TEST(show(search.find("aaaxaaa", separators)) == "4-7");
}

BOOST_AUTO_TEST_CASE(r208_too_few_bytes_since_the_last_look_change_nothing) {
  const std::vector<Bytes> separators{"ab", "cdefgh"};
  SeparatorSearch search;
  BOOST_TEST(show(search.find("0123456789", separators)) == "none");
  BOOST_TEST(search.scanned() == 5u);
  // Somebody took bytes out meanwhile.
  BOOST_TEST(show(search.find("012345", separators)) == "none");
  BOOST_TEST(search.scanned() == 5u);
  BOOST_TEST(show(search.find("01234ab", separators)) == "5-7");
}

BOOST_AUTO_TEST_CASE(r209_the_match_that_ends_first_wins_then_the_shorter_separator) {
  BOOST_TEST(find({"\r", "\n"}, "1\n2\r") == "1-2");
  BOOST_TEST(find({"DEF", "BCDE"}, "ABCDEFG") == "1-5");
  BOOST_TEST(find({"BCDE", "DEF"}, "ABCDEFG") == "1-5");
  BOOST_TEST(find({"A", "ome dataA"}, "some dataA") == "9-10");
  BOOST_TEST(find({"ome dataA", "A"}, "some dataA") == "9-10");
  BOOST_TEST(find({"abc", "abcd"}, "xabcd") == "1-4");
}

BOOST_AUTO_TEST_CASE(r209_whatever_the_separators_and_however_the_data_comes) {
  Dice dice;
  for (int i = 0; i != 20'000; ++i) {
    std::vector<Bytes> separators;
    for (std::size_t count = dice.roll(3) + 1; count != 0; --count)
      separators.push_back(dice.text(3) + 'a');
    SeparatorSearch search;
    std::string data, found = "none";
    for (int chunk = 0; chunk != 4 && found == "none"; ++chunk) {
      data += dice.text(4);
      found = show(search.find(data, separators));
      BOOST_TEST_REQUIRE(found == find_naively(separators, data));
    }
  }
}

BOOST_AUTO_TEST_CASE(r209_none_and_empty_separators_are_refused) {
  const auto refusal = [](const std::vector<Bytes>& separators) {
    try {
      SeparatorSearch::check(separators);
    } catch (const ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  BOOST_TEST(refusal({}) == "Separator should contain at least one element");
  BOOST_TEST(refusal({""}) == "Separator should be at least one-byte string");
  BOOST_TEST(refusal({"a", ""}) == "Separator should be at least one-byte string");
}

BOOST_AUTO_TEST_SUITE_END()
