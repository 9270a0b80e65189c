#include "actors/vcpu/boot/elf.hpp"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

namespace troupe::boot {
namespace {

using memory::address_range;

constexpr std::uint32_t phys32_entry = 18; // XEN_ELFNOTE_PHYS32_ENTRY
constexpr std::string_view xen{"Xen\0", 4};

template <class T>
outcome<T> read_as(const image_file& file, byte_count offset) {
  T value{};
  TRY(file.read(offset, std::as_writable_bytes(std::span{&value, 1})));
  return value;
}

outcome<Elf64_Ehdr> read_header(const image_file& file) {
  const auto it = TRY(read_as<Elf64_Ehdr>(file, 0));
  if (std::memcmp(it.e_ident, ELFMAG, SELFMAG) != 0)
    return file.wrong("no ELF file");
  if (it.e_ident[EI_CLASS] != ELFCLASS64 || it.e_ident[EI_DATA] != ELFDATA2LSB ||
      it.e_machine != EM_X86_64)
    return file.wrong(fmt::format("e_machine {}: not a 64-bit x86 ELF file", it.e_machine));
  if (it.e_type != ET_EXEC)
    return file.wrong(fmt::format("e_type {}: not an executable", it.e_type));
  if (it.e_phentsize != sizeof(Elf64_Phdr) || it.e_phnum == 0 || it.e_phnum > max_program_headers)
    return file.wrong(fmt::format("e_phnum {}: {} program headers at most, of {} bytes and not {}",
                                  it.e_phnum, max_program_headers, sizeof(Elf64_Phdr),
                                  it.e_phentsize));
  return it;
}

outcome<std::vector<Elf64_Phdr>> read_segments(const image_file& file, const Elf64_Ehdr& header) {
  std::vector<Elf64_Phdr> all(header.e_phnum);
  TRY(file.read(header.e_phoff, std::as_writable_bytes(std::span{all})));
  return all;
}

outcome<void> check_segment(const image_file& file, const Elf64_Phdr& it,
                            const address_range& allowed) {
  if (it.p_filesz > it.p_memsz)
    return file.wrong(
        fmt::format("p_filesz {:#x} is more than p_memsz {:#x}", it.p_filesz, it.p_memsz));
  if (!address_range{0, file.size()}.contains(it.p_offset, it.p_filesz))
    return file.wrong(fmt::format("p_offset {:#x}, p_filesz {:#x}: the file has {:#x} bytes",
                                  it.p_offset, it.p_filesz, file.size()));
  if (!allowed.contains(it.p_paddr, it.p_memsz))
    return file.wrong(fmt::format("p_paddr {:#x}, p_memsz {:#x}: it has to be in {:#x} ... {:#x}",
                                  it.p_paddr, it.p_memsz, allowed.start, allowed.end()));
  return {};
}

// The segments to load, by address. Zero-sized ones take no place.
outcome<std::vector<Elf64_Phdr>>
loadable(const image_file& file, const std::vector<Elf64_Phdr>& all, const address_range& allowed) {
  std::vector<Elf64_Phdr> found;
  std::ranges::copy_if(all, std::back_inserter(found),
                       [](const Elf64_Phdr& it) { return it.p_type == PT_LOAD && it.p_memsz > 0; });
  if (found.empty())
    return file.wrong("nothing to load");
  for (const auto& it : found)
    TRY(check_segment(file, it, allowed));
  std::ranges::sort(found, {}, &Elf64_Phdr::p_paddr);
  for (std::size_t i = 1; i < found.size(); ++i)
    if (found[i - 1].p_paddr + found[i - 1].p_memsz > found[i].p_paddr)
      return file.wrong(fmt::format("p_paddr {:#x} lies in the segment at {:#x}", found[i].p_paddr,
                                    found[i - 1].p_paddr));
  return found;
}

outcome<void> check_entry(const image_file& file, const std::vector<Elf64_Phdr>& segments,
                          std::string_view name, gpa entry) {
  const auto inside = [&](const Elf64_Phdr& it) {
    return address_range{it.p_paddr, it.p_filesz}.contains(entry, 1);
  };
  if (std::ranges::none_of(segments, inside))
    return file.wrong(fmt::format("{} {:#x} is in no loaded segment", name, entry));
  return {};
}

// Where PVH's note says to start, if `notes` hold it. They are a list of {name size, value size,
// type}, name and value, both padded.
outcome<std::optional<gpa>> pvh_note(const image_file& file, std::span<const std::byte> notes,
                                     byte_count padding) {
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr it{};
    std::memcpy(&it, notes.data(), sizeof(it));
    const auto value = memory::round_up(sizeof(it) + std::uint64_t{it.n_namesz}, padding);
    const auto end = value + it.n_descsz;
    if (end > notes.size())
      return file.wrong(fmt::format("a note of {:#x} bytes is longer than its segment", end));
    const auto is_xen = it.n_namesz == xen.size() &&
                        std::memcmp(notes.data() + sizeof(it), xen.data(), xen.size()) == 0;
    if (is_xen && it.n_type == phys32_entry) {
      if (it.n_descsz != sizeof(std::uint32_t) && it.n_descsz != sizeof(std::uint64_t))
        return file.wrong(fmt::format("the PVH entry is a number of {} bytes", it.n_descsz));
      gpa entry = 0;
      std::memcpy(&entry, notes.data() + value, it.n_descsz);
      return entry;
    }
    notes = notes.subspan(std::min<std::size_t>(memory::round_up(end, padding), notes.size()));
  }
  return std::nullopt;
}

outcome<std::optional<gpa>> find_pvh_entry(const image_file& file,
                                           const std::vector<Elf64_Phdr>& all) {
  for (const auto& it : all) {
    if (it.p_type != PT_NOTE)
      continue;
    if (it.p_filesz > max_notes)
      return file.wrong(fmt::format("notes of {:#x} bytes, at most {:#x}", it.p_filesz, max_notes));
    std::vector<std::byte> notes(it.p_filesz);
    TRY(file.read(it.p_offset, notes));
    constexpr byte_count usual = 4;
    constexpr byte_count gnu_properties = 8;
    const auto padding = it.p_align == gnu_properties ? gnu_properties : usual;
    if (const auto entry = TRY(pvh_note(file, notes, padding)))
      return entry;
  }
  return std::nullopt;
}

} // namespace

outcome<bool> is_elf(const image_file& file) {
  std::array<char, SELFMAG> magic{};
  if (file.size() < magic.size())
    return false;
  TRY(file.read(0, std::as_writable_bytes(std::span{magic})));
  return std::memcmp(magic.data(), ELFMAG, SELFMAG) == 0;
}

outcome<elf_kernel> load_elf(const image_file& file, const memory::guest_memory& ram,
                             const memory::address_range& allowed) {
  const auto header = TRY(read_header(file));
  const auto all = TRY(read_segments(file, header));
  const auto segments = TRY(loadable(file, all, allowed));
  elf_kernel found;
  found.entry = header.e_entry;
  found.pvh_entry = TRY(find_pvh_entry(file, all));
  TRY(check_entry(file, segments, "e_entry", found.entry));
  if (found.pvh_entry)
    TRY(check_entry(file, segments, "PVH entry", *found.pvh_entry));
  for (const auto& it : segments)
    TRY(file.copy(it.p_offset, it.p_filesz, ram, it.p_paddr));
  const auto start = segments.front().p_paddr;
  found.image = {start, segments.back().p_paddr + segments.back().p_memsz - start};
  return found;
}

} // namespace troupe::boot
