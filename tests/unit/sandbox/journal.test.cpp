#include "actors/sandbox/journal/crc32c.hpp"
#include "actors/sandbox/journal/record.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace troupe;
using namespace troupe::journal;
using troupe::test::scratch_folder;

namespace {

constexpr boot_id some_boot{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                            0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
const root_table some_roots{{root::state, "/run/troupe/p1"}};

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes)
    text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream{path, std::ios::binary} << bytes;
}

effect file_at(std::string path) {
  return file_effect{{root::state, std::move(path)}};
}

const std::vector<effect> one_of_each{
    process_effect{4711, 123456789, "0123456789abcdef"},
    mount_effect{{root::bundle, "rootfs"}, 77},
    directory_effect{{root::state, "shares"}},
    file_effect{{root::sockets, "s.sock"}},
    netns_effect{{root::netns, "pod-1"}},
    tap_effect{"tap0", "/run/netns/pod-1"},
    cgroup_effect{{root::cgroup, "troupe/p1"}},
};

/// Owner, two effects, one settled.
std::string sample_journal() {
  return frame(some_boot, encode(owner_record{{10, 20}, some_roots})) +
         frame(some_boot, encode(effect_record{effect_id{1}, file_at("a")})) +
         frame(some_boot, encode(effect_record{effect_id{2}, file_at("b")})) +
         frame(some_boot, encode(settled_record{effect_id{1}}));
}

} // namespace

TEST_CASE("crc32c: the check value of the polynomial, and of nothing") {
  CHECK(crc32c("123456789") == 0xe3069283);
  CHECK(crc32c("") == 0);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa); // RFC 3720 §B.4
}

TEST_CASE("journal: a settled record has the bytes of docs/wire/journal.md") {
  const auto payload = encode(settled_record{effect_id{0x01020304}});
  CHECK(hex(payload) == "0304030201");
  CHECK(hex(frame(some_boot, payload)) == "5452504a"                         // "TRPJ"
                                          "0100"                             // version
                                          "0500"                             // length
                                          "0123456789abcdeffedcba9876543210" // boot id
                                          "fccbae15"                         // CRC-32C
                                          "0304030201");
}

TEST_CASE("journal: each record has its golden payload") {
  CHECK(hex(encode(owner_record{{10, 20}, some_roots})) == "01"
                                                           "0a000000"
                                                           "1400000000000000"
                                                           "01"
                                                           "01"
                                                           "0e00"
                                                           "2f72756e2f74726f7570652f7031");
  CHECK(hex(encode(effect_record{effect_id{1}, one_of_each[0]})) ==
        "0201000000"
        "01"
        "67120000"
        "15cd5b0700000000"
        "1000"
        "30313233343536373839616263646566");
  CHECK(hex(encode(effect_record{effect_id{1}, one_of_each[1]})) == "0201000000"
                                                                    "02"
                                                                    "02"
                                                                    "0600"
                                                                    "726f6f746673"
                                                                    "4d00000000000000");
  CHECK(hex(encode(effect_record{effect_id{1}, one_of_each[5]})) ==
        "0201000000"
        "06"
        "0400"
        "74617030"
        "1000"
        "2f72756e2f6e65746e732f706f642d31");
}

TEST_CASE("journal: every kind of effect survives a round trip") {
  for (const auto& what : one_of_each) {
    const record written = effect_record{effect_id{9}, what};
    const auto read = decode(encode(written));
    REQUIRE(read);
    CHECK(*read == written);
  }
}

TEST_CASE("journal: a payload cut at any byte, or with one too many, is corrupt") {
  for (const auto& what : one_of_each) {
    const auto whole = encode(effect_record{effect_id{9}, what});
    for (std::size_t length = 0; length < whole.size(); ++length)
      CHECK(decode(std::string_view{whole}.substr(0, length)).error().code == errc::corrupt);
    CHECK(decode(whole + "x").error().code == errc::corrupt);
  }
  CHECK(decode("\x09").error().text == "tag: 9 is no record");
}

TEST_CASE("journal: a path that could leave its root is refused when written and when read") {
  for (const char* path : {"", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a"}) {
    CAPTURE(path);
    CHECK(check(file_at(path)).error().code == errc::invalid_argument);
    CHECK(decode(encode(effect_record{effect_id{1}, file_at(path)})).error().code == errc::corrupt);
  }
  CHECK(check(file_at("a/b/c")));
  CHECK(check(file_at("..a")));
}

TEST_CASE("journal: a root must be absolute, plain and two folders deep") {
  for (const char* path : {"", "/", "/run", "run/troupe", "/run/../etc", "/run//x"}) {
    CAPTURE(path);
    CHECK(check(root_table{{root::state, path}}).error().code == errc::invalid_argument);
  }
  CHECK(check(root_table{{root::state, "/run/troupe"}}));
}

TEST_CASE("journal: a short token and an odd interface name are refused") {
  CHECK(check(process_effect{1, 1, "short"}).error().code == errc::invalid_argument);
  CHECK(check(process_effect{1, 1, "has a blank inside"}).error().code == errc::invalid_argument);
  for (const char* name : {"", "a/b", "sixteen-letters-", ".."})
    CHECK(check(tap_effect{name, "/run/netns/x"}).error().code == errc::invalid_argument);
  CHECK(check(tap_effect{"tap0", "netns"}).error().code == errc::invalid_argument);
}

TEST_CASE("journal: a tail torn at any byte is ignored, everything before it stays") {
  const auto whole = sample_journal();
  const auto last = frame(some_boot, encode(settled_record{effect_id{1}})).size();
  for (std::size_t missing = 1; missing < last; ++missing) {
    CAPTURE(missing);
    const auto found = scan(std::string_view{whole}.substr(0, whole.size() - missing));
    CHECK(found.torn);
    CHECK_FALSE(found.damage);
    CHECK(found.records.size() == 3);
    CHECK(found.end == whole.size() - last);
  }
  CHECK_FALSE(scan(whole).torn);
  CHECK(scan(whole).records.size() == 4);
}

TEST_CASE("journal: one flipped bit anywhere is noticed, and the other records are still read") {
  const auto whole = sample_journal();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const auto found = scan(damaged);
    CHECK((found.damage.has_value() || found.torn));
    CHECK(found.records.size() == 3);
  }
}

TEST_CASE("journal: damage in the middle is told with its offset") {
  const auto owner_size = frame(some_boot, encode(owner_record{{10, 20}, some_roots})).size();
  auto bytes = sample_journal();
  bytes[owner_size + frame_header_size] ^= 1;
  const auto found = scan(bytes);
  REQUIRE(found.damage);
  CHECK(found.damage->code == errc::corrupt);
  CHECK(found.damage->text ==
        fmt::format("journal: damaged at offset {}: no sound frame", owner_size));
}

TEST_CASE("journal: what is recorded and not settled is live after a reopen") {
  const scratch_folder folder;
  const auto path = folder.file("journal");
  const auto me = this_process();
  REQUIRE(me);
  {
    const auto journal = file::create(path, *me, some_roots);
    REQUIRE(journal);
    const auto a = (*journal)->record(file_at("a"));
    const auto b = (*journal)->record(process_effect{0, 0, "0123456789abcdef"});
    REQUIRE((*journal)->amend(*b, process_effect{42, 43, "0123456789abcdef"}));
    REQUIRE((*journal)->settle(*a));
    REQUIRE((*journal)->settle(*a));
    CHECK((*journal)->amend(*a, file_at("a")).error().code == errc::not_found);
  }
  const auto journal = file::open_existing(path);
  REQUIRE(journal);
  CHECK((*journal)->written_by() == *me);
  CHECK((*journal)->roots() == some_roots);
  CHECK_FALSE((*journal)->damage());
  const auto live = (*journal)->live();
  REQUIRE(live.size() == 1);
  CHECK(live[0].id == effect_id{2});
  CHECK(live[0].what == effect{process_effect{42, 43, "0123456789abcdef"}});
  CHECK(live[0].boot == *current_boot_id());
}

TEST_CASE("journal: a file can be made once, and opened by one at a time") {
  const scratch_folder folder;
  const auto path = folder.file("journal");
  const auto first = file::create(path, {1, 2}, some_roots);
  REQUIRE(first);
  CHECK(file::create(path, {1, 2}, some_roots).error().code == errc::already_exists);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
  CHECK(file::open_existing(path).error().code == errc::failed_precondition);
  CHECK(read_owner(path) == owner{1, 2});
  CHECK(file::open_existing(folder.file("none")).error().code == errc::not_found);
}

TEST_CASE("journal: after a torn tail new records are sound") {
  const scratch_folder folder;
  const auto path = folder.file("journal");
  write_file(path, sample_journal() + "TRPJ\x01");
  {
    const auto journal = file::open_existing(path);
    REQUIRE(journal);
    CHECK((*journal)->record(file_at("c")) == effect_id{3});
  }
  const auto found = scan(read_file(path));
  CHECK_FALSE(found.damage);
  CHECK(found.records.size() == 5);
}

TEST_CASE("journal: a file without an owner is corrupt") {
  const scratch_folder folder;
  const auto path = folder.file("journal");
  write_file(path, "");
  CHECK(file::open_existing(path).error().code == errc::corrupt);
  write_file(path, frame(some_boot, encode(settled_record{effect_id{1}})));
  CHECK(file::open_existing(path).error().code == errc::corrupt);
}

TEST_CASE("journal: settled effects do not make the file grow for ever") {
  const scratch_folder folder;
  const auto path = folder.file("journal");
  {
    const auto journal = file::create(path, {1, 2}, some_roots);
    REQUIRE(journal);
    REQUIRE((*journal)->record(file_at("stays")));
    for (int i = 0; i < 5000; ++i)
      REQUIRE((*journal)->settle(*(*journal)->record(file_at(fmt::format("f{}", i)))));
  }
  CHECK(std::filesystem::file_size(path) < 2 * compaction_threshold);
  const auto journal = file::open_existing(path);
  REQUIRE(journal);
  REQUIRE((*journal)->live().size() == 1);
  CHECK((*journal)->live()[0].what == file_at("stays"));
}
