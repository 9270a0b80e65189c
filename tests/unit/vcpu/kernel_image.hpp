#pragma once

#include "actors/vcpu/boot/image_file.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

/// Kernels made of a few bytes, true or lying.
namespace troupe::testing {

inline unique_fd file_of(const std::string& bytes) {
  unique_fd fd{::memfd_create("kernel", 0)};
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("memfd");
  return fd;
}

struct elf_segment {
  std::uint32_t type = PT_LOAD;
  gpa at = 0;
  std::string bytes;
  /// In memory; by default what the file holds.
  byte_count size = 0;
};

/// What a test changes of an honest file before it is written.
using elf_lie = std::function<void(Elf64_Ehdr&, std::vector<Elf64_Phdr>&)>;

inline std::string elf_bytes(gpa entry, const std::vector<elf_segment>& segments,
                             const elf_lie& lie = {}) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_entry = entry;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<Elf64_Half>(segments.size());
  std::vector<Elf64_Phdr> table;
  std::string content;
  const auto begin = sizeof(Elf64_Ehdr) + segments.size() * sizeof(Elf64_Phdr);
  for (const auto& it : segments) {
    Elf64_Phdr entry_of{};
    entry_of.p_type = it.type;
    entry_of.p_offset = begin + content.size();
    entry_of.p_paddr = it.at;
    entry_of.p_filesz = it.bytes.size();
    entry_of.p_memsz = it.size == 0 ? it.bytes.size() : it.size;
    entry_of.p_align = 4;
    table.push_back(entry_of);
    content += it.bytes;
  }
  if (lie)
    lie(header, table);
  std::string out(begin, '\0');
  std::memcpy(out.data(), &header, sizeof(header));
  std::memcpy(out.data() + sizeof(header), table.data(), table.size() * sizeof(Elf64_Phdr));
  return out + content;
}

/// A note as compilers write it: sizes, type, padded name, padded value.
inline std::string note(const std::string& name, std::uint32_t type, const std::string& value) {
  const Elf64_Nhdr head{static_cast<Elf64_Word>(name.size()), static_cast<Elf64_Word>(value.size()),
                        type};
  std::string out(sizeof(head), '\0');
  std::memcpy(out.data(), &head, sizeof(head));
  const auto padded = [](std::string it) {
    it.resize((it.size() + 3) / 4 * 4);
    return it;
  };
  return out + padded(name) + padded(value);
}

inline std::string little_endian(std::uint64_t value, std::size_t width) {
  std::string out(width, '\0');
  std::memcpy(out.data(), &value, width);
  return out;
}

inline std::string pvh_note(gpa entry, std::size_t width = 8) {
  return note(std::string("Xen\0", 4), 18, little_endian(entry, width));
}

/// A bzImage of one setup sector and `code` behind it, that prefers 16 MiB and needs 1 MiB there.
struct bzimage_file {
  std::string bytes;

  explicit bzimage_file(std::size_t code = 0x1000) : bytes(1024 + code, '\xcc') {
    put(0x1f1, 1, 1); // setup_sects
    put(0x1fe, 2, 0xaa55);
    put(0x200, 1, 0xeb);
    put(0x201, 1, 0x66); // The header ends at 0x268.
    put(0x202, 4, 0x53726448);
    put(0x206, 2, 0x20f);
    put(0x211, 1, 1);          // loaded high
    put(0x22c, 4, 0x7fffffff); // initrd_addr_max
    put(0x230, 4, 0x200000);   // kernel_alignment
    put(0x236, 2, 0x3f);       // xloadflags
    put(0x238, 4, 2047);       // cmdline_size
    put(0x258, 8, 0x1000000);  // pref_address
    put(0x260, 4, 0x100000);   // init_size
  }
  bzimage_file& put(std::size_t at, std::size_t width, std::uint64_t value) {
    std::memcpy(bytes.data() + at, &value, width);
    return *this;
  }
};

} // namespace troupe::testing
