#include "actors/vcpu/boot/bzimage.hpp"
#include "actors/vcpu/boot/elf.hpp"
#include "tests/support/guest_ram.hpp"
#include "tests/unit/vcpu/kernel_image.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>

using namespace troupe;
using namespace troupe::testing;
using boot::image_file;
using memory::address_range;

namespace {

constexpr address_range allowed{mib(1), mib(31)};
const guest_ram& ram() {
  static const guest_ram it{mib(32)};
  return it;
}

outcome<boot::elf_kernel> load(const std::string& bytes) {
  const auto fd = file_of(bytes);
  return boot::load_elf(image_file::of(fd.get(), "kernel", gib(1)).value(), *ram().memory(),
                        allowed);
}

outcome<boot::bzimage_kernel> load(const bzimage_file& file) {
  const auto fd = file_of(file.bytes);
  return boot::load_bzimage(image_file::of(fd.get(), "kernel", gib(1)).value(), *ram().memory(),
                            allowed);
}

// The text of the refusal, for its field; the code has to be invalid_argument.
template <class T>
std::string refusal(const outcome<T>& what) {
  REQUIRE_FALSE(what);
  CHECK(what.error().code == errc::invalid_argument);
  return what.error().text;
}

const elf_segment text{PT_LOAD, 0x1000000, std::string(0x100, '\x90'), 0x100};

// An honest file but for what `lie` does to it.
std::string lying(const elf_lie& lie) {
  return elf_bytes(0x1000000, {text}, lie);
}

bool says(const std::string& refusal, const std::string& field) {
  INFO(refusal);
  return refusal.find(field) != std::string::npos;
}

} // namespace

TEST_CASE("elf: segments, are copied to their physical addresses and the rest is left alone") {
  ram().put_text(0x1000000, std::string(0x40, 'x'));
  const auto it = load(elf_bytes(0x1000004, {{PT_LOAD, 0x1200000, "data", 0x3000},
                                             {PT_NOTE, 0, note("GNU", 3, "id"), 0},
                                             {PT_LOAD, 0x1000000, "text and more", 0}}));
  REQUIRE(it);
  CHECK(it->entry == 0x1000004);
  CHECK_FALSE(it->pvh_entry);
  CHECK(it->image == address_range{0x1000000, 0x203000});
  CHECK(ram().text(0x1000000, 16) == "text and morexxx");
  CHECK(ram().text(0x1200000, 4) == "data");
}

TEST_CASE("elf: the PVH entry, is found behind other notes, in 4 or in 8 bytes") {
  for (const std::size_t width : {4U, 8U}) {
    const auto notes = note("GNU", 3, "abcde") + note("Xen", 18, "a false friend") +
                       note(std::string("Xen\0", 4), 6, "x") + pvh_note(0x1000010, width);
    const auto it = load(elf_bytes(0x1000000, {text, {PT_NOTE, 0, notes, 0}}));
    REQUIRE(it);
    CHECK(it->pvh_entry == 0x1000010U);
  }
}

TEST_CASE("elf: notes of 8-byte alignment, are read with theirs") {
  // Name and value start at multiples of 8: 12 + 4 is one, and so is 16 + 8.
  const auto it = load(elf_bytes(0x1000000, {text, {PT_NOTE, 0, pvh_note(0x1000020), 0}},
                                 [](auto&, auto& all) { all[1].p_align = 8; }));
  REQUIRE(it);
  CHECK(it->pvh_entry == 0x1000020U);
}

TEST_CASE("elf: a note that lies, is refused") {
  const auto with = [](const std::string& notes) {
    return load(elf_bytes(0x1000000, {text, {PT_NOTE, 0, notes, 0}}));
  };
  auto long_value = pvh_note(0x1000000);
  long_value[4] = '\x10';
  CHECK(says(refusal(with(long_value)), "note"));
  auto endless_name = pvh_note(0x1000000);
  std::memset(endless_name.data(), 0xff, 8);
  CHECK(says(refusal(with(endless_name)), "note"));
  CHECK(says(refusal(with(pvh_note(0x1000000, 2))), "2 bytes"));
  CHECK(says(refusal(with(pvh_note(0x7000))), "PVH entry 0x7000"));
  CHECK(says(refusal(with(pvh_note(~0ULL))), "PVH entry"));
  CHECK(says(refusal(with(std::string(boot::max_notes + 4, '\0'))), "notes of"));
  CHECK(with(std::string("\0\0\0", 3))); // Padding, no note.
}

TEST_CASE("elf: a file that ends early, is refused wherever it ends") {
  const auto whole = elf_bytes(0x1000000, {text, {PT_NOTE, 0, pvh_note(0x1000000), 0}});
  REQUIRE(load(whole));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(load(whole.substr(0, size)).error().code == errc::invalid_argument);
  }
}

TEST_CASE("elf: another kind of file, is refused") {
  CHECK(says(refusal(load("MZ" + std::string(100, '\0'))), "no ELF file"));
  CHECK(says(refusal(load(lying([](auto& it, auto&) { it.e_machine = EM_AARCH64; }))),
             "e_machine 183"));
  CHECK(says(refusal(load(lying([](auto& it, auto&) { it.e_ident[EI_CLASS] = ELFCLASS32; }))),
             "64-bit"));
  CHECK(says(refusal(load(lying([](auto& it, auto&) { it.e_ident[EI_DATA] = ELFDATA2MSB; }))),
             "64-bit"));
  CHECK(says(refusal(load(lying([](auto& it, auto&) { it.e_type = ET_DYN; }))), "e_type 3"));
}

TEST_CASE("elf: program headers, are bounded in number, size and place") {
  CHECK(says(refusal(load(lying([](auto& it, auto&) { it.e_phnum = 0; }))), "e_phnum 0"));
  CHECK(says(refusal(load(lying([](auto& it, auto&) { it.e_phnum = 65; }))), "e_phnum 65"));
  CHECK(says(refusal(load(lying([](auto& it, auto&) { it.e_phentsize = 57; }))), "not 57"));
  refusal(load(lying([](auto& it, auto&) { it.e_phoff = ~0ULL; })));
  refusal(load(lying([](auto& it, auto&) { it.e_phoff = 0x10000; })));
  CHECK(says(refusal(load(lying([](auto&, auto& all) { all[0].p_type = PT_NULL; }))),
             "nothing to load"));
}

TEST_CASE("elf: a segment outside of RAM or over the boot structures, is refused") {
  const auto placed = [](gpa at, byte_count size) {
    return refusal(load(lying([&](auto&, auto& all) {
      all[0].p_paddr = at;
      all[0].p_memsz = size;
    })));
  };
  CHECK(says(placed(0x7000, 0x100), "p_paddr 0x7000"));         // The zero page.
  CHECK(says(placed(mib(1) - 0x80, 0x100), "p_paddr 0xfff80")); // Half in the MP table.
  CHECK(says(placed(mib(32) - 0x80, 0x100), "p_paddr"));        // Over the end.
  CHECK(says(placed(0x1000000, mib(17)), "p_memsz"));           // Huge.
  CHECK(says(placed(0x1000000, ~0ULL), "p_memsz"));             // Wraps around.
  CHECK(says(placed(~0ULL - 0x7f, 0x100), "p_paddr"));          // So does this.
  CHECK(says(placed(gib(4), 0x100), "p_paddr"));
}

TEST_CASE("elf: a segment that the file does not hold, is refused") {
  const auto held = [](byte_count offset, byte_count size) {
    return refusal(load(lying([&](auto&, auto& all) {
      all[0].p_offset = offset;
      all[0].p_filesz = size;
    })));
  };
  CHECK(says(held(0, 0x101), "more than p_memsz"));
  CHECK(says(held(0x100, 0x100), "p_offset 0x100"));
  CHECK(says(held(~0ULL, 0x100), "p_offset"));
}

TEST_CASE("elf: segments that overlap, are refused; adjacent ones are not") {
  const auto second_at = [](gpa at) {
    return load(elf_bytes(0x1000000, {text, {PT_LOAD, at, "more", 0}}));
  };
  CHECK(second_at(0x1000100));
  CHECK(says(refusal(second_at(0x10000ff)), "p_paddr 0x10000ff"));
  CHECK(says(refusal(second_at(0xfffffd)), "p_paddr 0x1000000"));
}

TEST_CASE("elf: an entry outside of what the file fills, is refused") {
  CHECK(load(elf_bytes(0x10000ff, {text})));
  CHECK(says(refusal(load(elf_bytes(0x1000100, {text}))), "e_entry 0x1000100"));
  CHECK(says(refusal(load(elf_bytes(0x7000, {text}))), "e_entry 0x7000"));
  // In memory, but zero.
  CHECK(
      says(refusal(load(elf_bytes(0x1000200, {{PT_LOAD, 0x1000000, "text", 0x1000}}))), "e_entry"));
}

TEST_CASE("bzimage: its protected-mode part, is copied to where it prefers to be") {
  bzimage_file file;
  file.bytes.replace(1024, 5, "start");
  const auto it = load(file);
  REQUIRE(it);
  CHECK(it->image == address_range{0x1000000, 0x100000});
  CHECK(it->entry == 0x1000200);
  CHECK(it->initrd_last == 0x7fffffff);
  CHECK(it->command_line_max == 2047);
  CHECK(it->setup_header.size() == 0x268 - 0x1f1);
  CHECK(it->setup_header.front() == std::byte{1});
  CHECK(ram().text(0x1000000, 5) == "start");
}

TEST_CASE("bzimage: what it cannot do, is refused by field") {
  CHECK(says(refusal(load(bzimage_file{}.put(0x206, 2, 0x20b))), "protocol 0x20b"));
  CHECK(says(refusal(load(bzimage_file{}.put(0x236, 2, 0x3e))), "xloadflags"));
  CHECK(says(refusal(load(bzimage_file{}.put(0x211, 1, 0))), "loadflags"));
  CHECK(says(refusal(load(bzimage_file{}.put(0x201, 1, 0x61))), "ends at 0x263"));
  CHECK(says(refusal(load(bzimage_file{}.put(0x1f1, 1, 200))), "setup_sects 200"));
}

TEST_CASE("bzimage: no setup sectors at all, mean four") {
  bzimage_file file;
  file.bytes.replace(5 * 512, 5, "fifth");
  REQUIRE(load(file.put(0x1f1, 1, 0)));
  CHECK(ram().text(0x1000000, 5) == "fifth");
}

TEST_CASE("bzimage: an image that does not fit while it unpacks itself, is refused") {
  CHECK(says(refusal(load(bzimage_file{}.put(0x260, 4, mib(17)))), "init_size"));
  CHECK(says(refusal(load(bzimage_file{}.put(0x258, 8, 0x7000))), "pref_address 0x7000"));
  CHECK(says(refusal(load(bzimage_file{}.put(0x258, 8, ~0ULL - 0xfff))), "pref_address"));
  // The file itself is larger than it says.
  bzimage_file larger{mib(17)};
  CHECK(says(refusal(load(larger.put(0x260, 4, 0))), "init_size"));
}

TEST_CASE("bzimage: a header longer than boot_params has room for, is cut there") {
  const auto it = load(bzimage_file{}.put(0x201, 1, 0xff));
  REQUIRE(it);
  CHECK(it->setup_header.size() == 0x290 - 0x1f1);
}

TEST_CASE("bzimage: a file that ends early, is refused wherever it ends") {
  const bzimage_file whole;
  for (const std::size_t size : {1, 0x201, 0x205, 0x206, 0x207, 0x267, 1023, 1024, 1024 + 0x200}) {
    CAPTURE(size);
    bzimage_file cut;
    cut.bytes.resize(size);
    CHECK(load(cut).error().code == errc::invalid_argument);
  }
}

TEST_CASE("image file: what is empty, too large or no file, is refused") {
  CHECK(refusal(image_file::of(file_of("").get(), "initrd", 10)) ==
        "initrd: 0 bytes, 1 to 10 are possible");
  CHECK(says(refusal(image_file::of(file_of("12345678901").get(), "initrd", 10)), "11 bytes"));
  const unique_fd socket{::socket(AF_UNIX, SOCK_STREAM, 0)};
  CHECK(says(refusal(image_file::of(socket.get(), "kernel", 10)), "regular"));
  CHECK(image_file::of(-1, "kernel", 10).error().code == errc::host_io);
}

TEST_CASE("image file: one that is cut while it is read, fails and does not crash") {
  const auto fd = file_of(std::string(100, 'x'));
  const auto file = image_file::of(fd.get(), "kernel", 1000).value();
  REQUIRE(::ftruncate(fd.get(), 10) == 0);
  CHECK(says(refusal(file.copy(0, 100, *ram().memory(), mib(1))), "became shorter"));
}
