#include "tools/bench/blk_driver.hpp"
#include "tools/bench/turns.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>

// 4 KiB at random places of one file with O_DIRECT, by our device and by system calls of the host.
// At depth 1 a figure is one request's latency; at depth 32 a turn's time divided by its requests,
// so that less is better in every row and a failure never looks good.

namespace troupe::bench {
namespace {

constexpr const char* name = "blk";
constexpr const char* peer = "host";
constexpr byte_count file_size = mib(256);
constexpr std::size_t shallow_requests = 200;
constexpr std::size_t deep_requests = 1000;

using micros = std::chrono::duration<double, std::micro>;

class places {
public:
  [[nodiscard]] std::uint64_t next() { return which_(random_); }

private:
  std::mt19937_64 random_{1};
  std::uniform_int_distribution<std::uint64_t> which_{0, file_size / blk_block - 1};
};

/// Written once: what was never written is answered without the disk.
outcome<void> make_file(const std::string& path) {
  const unique_fd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (!fd)
    return fail_errno("create " + path, errno);
  const std::vector<char> some(mib(1), 'x');
  for (byte_count at = 0; at < file_size; at += some.size())
    if (::write(fd.get(), some.data(), some.size()) != static_cast<ssize_t>(some.size()))
      return fail_errno("write " + path, errno);
  if (::fsync(fd.get()) != 0)
    return fail_errno("fsync " + path, errno);
  return {};
}

double each_of(std::size_t requests, time_point begun) {
  return micros(monotonic_clock::now() - begun).count() / static_cast<double>(requests);
}

// -- ours

turn ours_shallow(blk_driver& on, places& where, bool write) {
  std::vector<double> out;
  for (std::size_t i = 0; i < shallow_requests; ++i) {
    const auto begun = monotonic_clock::now();
    TRY(on.offer(0, write, where.next()));
    on.kick();
    TRY(on.completed());
    out.push_back(micros(monotonic_clock::now() - begun).count());
  }
  return out;
}

turn ours_deep(blk_driver& on, places& where, bool write) {
  const auto begun = monotonic_clock::now();
  std::size_t offered = 0;
  for (; offered < blk_driver::slots; ++offered)
    TRY(on.offer(static_cast<std::uint16_t>(offered), write, where.next()));
  on.kick();
  for (std::size_t done = 0; done < deep_requests;) {
    const auto slots = TRY(on.completed());
    done += slots.size();
    for (const auto slot : slots)
      if (offered < deep_requests) {
        TRY(on.offer(slot, write, where.next()));
        ++offered;
      }
    on.kick();
  }
  return std::vector<double>{each_of(deep_requests, begun)};
}

// -- the host's

/// A file, buffers for it, and a ring.
class host {
public:
  static outcome<std::unique_ptr<host>> make(const std::string& path) {
    std::unique_ptr<host> out{new host};
    out->fd_ = unique_fd{::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)};
    if (!out->fd_)
      return fail_errno("open " + path, errno);
    void* at = ::mmap(nullptr, blk_driver::slots * blk_block, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
      return fail_errno("mmap buffers", errno);
    out->buffers_ = static_cast<char*>(at);
    if (const int error = ::io_uring_queue_init(blk_driver::slots, &out->ring_, 0); error < 0)
      return fail_errno("io_uring", -error);
    out->has_ring_ = true;
    return out;
  }
  host(const host&) = delete;
  host& operator=(const host&) = delete;
  ~host() {
    if (has_ring_)
      ::io_uring_queue_exit(&ring_);
    if (buffers_ != nullptr)
      ::munmap(buffers_, blk_driver::slots * blk_block);
  }

  turn shallow(places& where, bool write) const {
    std::vector<double> out;
    for (std::size_t i = 0; i < shallow_requests; ++i) {
      const auto begun = monotonic_clock::now();
      const auto at = static_cast<off_t>(where.next() * blk_block);
      const auto n = write ? ::pwrite(fd_.get(), buffers_, blk_block, at)
                           : ::pread(fd_.get(), buffers_, blk_block, at);
      if (n != blk_block)
        return fail_errno("transfer", errno);
      out.push_back(micros(monotonic_clock::now() - begun).count());
    }
    return out;
  }

  turn deep(places& where, bool write) {
    const auto begun = monotonic_clock::now();
    std::size_t offered = 0;
    for (; offered < blk_driver::slots; ++offered)
      offer(offered, where.next(), write);
    for (std::size_t done = 0; done < deep_requests;) {
      if (const int error = ::io_uring_submit_and_wait(&ring_, 1); error < 0)
        return fail_errno("io_uring_submit_and_wait", -error);
      for (io_uring_cqe* it = nullptr; ::io_uring_peek_cqe(&ring_, &it) == 0; ++done) {
        const auto slot = static_cast<std::size_t>(it->user_data);
        const auto result = it->res;
        ::io_uring_cqe_seen(&ring_, it);
        if (result != static_cast<int>(blk_block))
          return fail_errno("transfer", -result);
        if (offered < deep_requests) {
          offer(slot, where.next(), write);
          ++offered;
        }
      }
    }
    return std::vector<double>{each_of(deep_requests, begun)};
  }

private:
  host() = default;
  void offer(std::size_t slot, std::uint64_t block, bool write) {
    auto* entry = ::io_uring_get_sqe(&ring_);
    auto* buffer = buffers_ + slot * blk_block;
    const auto at = block * blk_block;
    if (write)
      ::io_uring_prep_write(entry, fd_.get(), buffer, blk_block, at);
    else
      ::io_uring_prep_read(entry, fd_.get(), buffer, blk_block, at);
    entry->user_data = slot;
  }

  unique_fd fd_;
  char* buffers_ = nullptr;
  io_uring ring_{};
  bool has_ring_ = false;
};

} // namespace

outcome<std::vector<row>> blk_io(const order& what) {
  const auto path = what.where.folder + "/image";
  TRY(make_file(path));
  const auto ours = TRY(blk_driver::make(path));
  const auto theirs = TRY(host::make(path));
  places where;
  std::vector<duel> duels;
  for (const bool write : {false, true}) {
    const auto kind = write ? "randwrite" : "randread";
    duels.push_back({{name, fmt::format("{} {}-qd1", peer, kind), "us", {}, peer, {}},
                     [&, write] { return ours_shallow(*ours, where, write); },
                     [&, write] { return theirs->shallow(where, write); }});
    duels.push_back({{name, fmt::format("{} {}-qd32", peer, kind), "us", {}, peer, {}},
                     [&, write] { return ours_deep(*ours, where, write); },
                     [&, write] { return theirs->deep(where, write); }});
  }
  return take_turns(std::move(duels), what);
}

} // namespace troupe::bench
