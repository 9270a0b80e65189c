#include "actors/vcpu/memory/ram.hpp"

#include <linux/memfd.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace troupe::memory {
namespace {

// Each thread takes the next such piece: big enough for the call not to matter, small enough for
// the threads to end together.
constexpr byte_count populate_piece = mib(64);

outcome<void> check(const ram_plan& plan) {
  if (plan.pages == page_kind::hugetlb && plan.size % huge_page != 0)
    return fail(errc::invalid_argument, "memory size: {:#x} is not in 2 MiB pages", plan.size);
  if (plan.prealloc_threads < 1 || plan.prealloc_threads > max_prealloc_threads)
    return fail(errc::invalid_argument, "prealloc threads: {} is not 1 ... {}",
                plan.prealloc_threads, max_prealloc_threads);
  return {};
}

outcome<unique_fd> make_file(byte_count size, page_kind pages) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (pages == page_kind::hugetlb)
    flags |= MFD_HUGETLB | MFD_HUGE_2MB;
  unique_fd file{::memfd_create("guest-ram", flags)};
  if (!file)
    return fail_errno("ram: create file", errno);
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
    return fail_errno(fmt::format("ram: size file to {:#x} bytes", size), errno);
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno("ram: seal file", errno);
  return file;
}

outcome<std::shared_ptr<const guest_memory>> map_file(int file, const memory_map& map,
                                                      page_kind pages) {
  std::vector<region> regions;
  for (const auto* pieces : {&map.boot, &map.windows})
    for (const auto& it : *pieces) {
      unique_fd own{::fcntl(file, F_DUPFD_CLOEXEC, 0)};
      if (!own)
        return fail_errno("ram: duplicate file", errno);
      regions.push_back({it.base, it.size, std::move(own), it.fd_offset});
    }
  // Where the host gives huge pages to all, as the kernel may be set, it aligns them by itself.
  const auto alignment = pages == page_kind::ordinary ? small_page : huge_page;
  auto memory = guest_memory::map(std::move(regions), alignment);
  if (!memory)
    return within("ram: map file", std::move(memory).error());
  return *std::move(memory);
}

outcome<void> advise_huge(const guest_memory& memory) {
  for (const auto& it : memory.extents()) {
    const auto bytes = TRY(memory.contiguous(it.base, it.size));
    if (::madvise(bytes.data(), bytes.size(), MADV_HUGEPAGE) != 0)
      return fail_errno("ram: ask for huge pages", errno);
  }
  return {};
}

// Takes pieces from `next` on until none is left or one fails. Returns errno, 0 when all went well.
int populate_pieces(std::span<std::byte> bytes, std::atomic<byte_count>& next) noexcept {
  for (;;) {
    const auto from = next.fetch_add(populate_piece);
    if (from >= bytes.size())
      return 0;
    const auto part = bytes.subspan(from, std::min(populate_piece, bytes.size() - from));
    while (::madvise(part.data(), part.size(), MADV_POPULATE_WRITE) != 0)
      if (errno != EINTR)
        return errno;
  }
}

failed not_populated(int error, byte_count size) {
  // What the kernel says when a hugetlb pool or a memory limit is used up.
  if (error == ENOMEM || error == EFAULT)
    return fail(errc::resource_exhausted, "ram: preallocate: the host has not {:#x} bytes", size);
  return fail_errno("ram: preallocate", error);
}

outcome<void> take_boot_ram(const ram& made, const ram_plan& plan) {
  for (const auto& it : made.map.boot) {
    const auto bytes = TRY(made.memory->contiguous(it.base, it.size));
    auto taken = populate(bytes, plan.prealloc_threads);
    if (!taken && taken.error().code == errc::resource_exhausted &&
        plan.pages == page_kind::hugetlb)
      return fail(
          errc::resource_exhausted,
          "ram: preallocate: the host's pool of 2 MiB pages (vm.nr_hugepages) has not {:#x} "
          "bytes free",
          plan.size);
    TRY(std::move(taken));
  }
  return {};
}

} // namespace

outcome<void> populate(std::span<std::byte> bytes, std::size_t threads) {
  std::atomic<byte_count> next = 0;
  std::atomic<int> error = 0;
  const auto work = [&] {
    if (const int mine = populate_pieces(bytes, next); mine != 0)
      error = mine;
  };
  std::vector<std::jthread> others;
  try {
    while (others.size() + 1 < std::min(threads, max_prealloc_threads))
      others.emplace_back(work);
  } catch (const std::system_error&) {
    // Fewer threads do the same work.
  }
  work();
  others.clear();
  if (error != 0)
    return not_populated(error, bytes.size());
  return {};
}

outcome<ram> allocate(const ram_plan& plan) {
  TRY(check(plan));
  ram made;
  made.map = TRY(lay_out(plan.size, plan.layout, plan.windows));
  made.file = TRY(make_file(made.map.file_size, plan.pages));
  made.memory = TRY(map_file(made.file.get(), made.map, plan.pages));
  if (plan.pages == page_kind::transparent_huge)
    TRY(advise_huge(*made.memory));
  if (plan.prealloc || plan.pages == page_kind::hugetlb)
    TRY(take_boot_ram(made, plan));
  return made;
}

} // namespace troupe::memory
