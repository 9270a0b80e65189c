#include "actors/vcpu/boot/bzimage.hpp"

#include "actors/vcpu/boot/linux_header.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace troupe::boot {
namespace {

namespace header = linux_header;

constexpr byte_count sector = 512;
constexpr std::uint8_t usual_sectors = 4; // What 0 means, for very old images.
constexpr gpa entry_64 = 0x200;           // Behind the load address.

// The header's whole extent, at its offsets in the file.
class setup {
public:
  static outcome<setup> of(const image_file& file) {
    std::array<std::byte, header::magic> begin{};
    TRY(file.read(0, begin));
    const auto end = header::magic + std::to_integer<std::size_t>(begin[header::length]);
    if (end < header::smallest_end)
      return file.wrong(fmt::format("setup header ends at {:#x}, too early for version 2.12", end));
    setup it;
    it.bytes_.resize(std::min(end, header::largest_end));
    TRY(file.read(0, it.bytes_));
    return it;
  }

  template <class T>
  [[nodiscard]] T get(std::size_t at) const {
    T value{};
    std::memcpy(&value, bytes_.data() + at, sizeof(value));
    return value;
  }
  [[nodiscard]] std::vector<std::byte> bytes() const {
    return {bytes_.begin() + header::start, bytes_.end()};
  }

private:
  std::vector<std::byte> bytes_;
};

outcome<void> check(const image_file& file, const setup& it) {
  const auto version = it.get<std::uint16_t>(header::version);
  if (version < header::first_version)
    return file.wrong(
        fmt::format("boot protocol {:#x}, {:#x} is needed", version, header::first_version));
  if ((it.get<std::uint16_t>(header::extended_flags) & header::has_64_bit_entry) == 0)
    return file.wrong("xloadflags: no 64-bit entry");
  if ((it.get<std::uint8_t>(header::load_flags) & header::loaded_high) == 0)
    return file.wrong("loadflags: not loaded high");
  return {};
}

} // namespace

outcome<bool> is_bzimage(const image_file& file) {
  std::array<std::byte, header::version> begin{};
  if (file.size() < begin.size())
    return false;
  TRY(file.read(0, begin));
  std::uint16_t flag = 0;
  std::uint32_t magic = 0;
  std::memcpy(&flag, begin.data() + header::boot_flag, sizeof(flag));
  std::memcpy(&magic, begin.data() + header::magic, sizeof(magic));
  return flag == header::boot_flag_value && magic == header::magic_value;
}

outcome<bzimage_kernel> load_bzimage(const image_file& file, const memory::guest_memory& ram,
                                     const memory::address_range& allowed) {
  if (!TRY(is_bzimage(file)))
    return file.wrong("no bzImage");
  const auto it = TRY(setup::of(file));
  TRY(check(file, it));
  const auto sectors = it.get<std::uint8_t>(header::setup_sectors);
  const auto code = (1 + byte_count{sectors == 0 ? usual_sectors : sectors}) * sector;
  if (code + entry_64 >= file.size())
    return file.wrong(fmt::format("setup_sects {}: nothing behind them", sectors));
  bzimage_kernel found;
  const auto size = file.size() - code;
  // It unpacks over itself: init_size counts the larger of both.
  const auto needed = std::max<byte_count>(it.get<std::uint32_t>(header::init_size), size);
  found.image = {it.get<std::uint64_t>(header::preferred_address), needed};
  if (!allowed.contains(found.image.start, found.image.size))
    return file.wrong(
        fmt::format("pref_address {:#x}, init_size {:#x}: it has to be in {:#x} ... {:#x}",
                    found.image.start, needed, allowed.start, allowed.end()));
  TRY(file.copy(code, size, ram, found.image.start));
  found.entry = found.image.start + entry_64;
  found.setup_header = it.bytes();
  found.initrd_last = it.get<std::uint32_t>(header::initrd_last);
  found.command_line_max = it.get<std::uint32_t>(header::command_line_max);
  return found;
}

} // namespace troupe::boot
