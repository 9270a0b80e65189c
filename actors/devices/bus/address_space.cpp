#include "actors/devices/bus/address_space.hpp"

#include <algorithm>
#include <limits>

namespace troupe::bus {
namespace {

bool proper(std::size_t length) {
  return length == 1 || length == 2 || length == 4 || length == 8;
}

// The order of counting in and reading the epoch decides whether a change waits for us: both sides
// need one order of all four operations.
constexpr auto ordered = std::memory_order_seq_cst;

} // namespace

class address_space::visit {
public:
  explicit visit(address_space& where) noexcept : count_(enter(where)), map_(where.map_) {}
  ~visit() {
    if (count_.fetch_sub(1, ordered) == 1)
      count_.notify_all();
  }
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;

  [[nodiscard]] const map& seen() const noexcept { return *map_; }

private:
  static std::atomic<std::uint32_t>& enter(address_space& where) noexcept {
    for (;;) {
      const auto epoch = where.epoch_.load(ordered);
      auto& count = where.visitors_[epoch % 2].count;
      count.fetch_add(1, ordered);
      if (where.epoch_.load(ordered) == epoch)
        return count;
      // A change began in between and may not have counted us.
      if (count.fetch_sub(1, ordered) == 1)
        count.notify_all();
    }
  }

  std::atomic<std::uint32_t>& count_;
  const map* map_;
};

address_space::address_space(space kind)
    : nobody_(kind == space::pio ? std::byte{0xff} : std::byte{0}) {}

outcome<void> address_space::add(std::uint64_t base, std::uint64_t size,
                                 std::shared_ptr<target> it) {
  if (size == 0 || size - 1 > std::numeric_limits<std::uint64_t>::max() - base)
    return fail(errc::invalid_argument, "bus: range of {:#x} bytes at {:#x}", size, base);
  const std::lock_guard guard{change_};
  auto next = *current_;
  if (next.size() >= targets_max)
    return fail(errc::resource_exhausted, "bus: {} targets", next.size());
  const auto last = base + (size - 1);
  for (const auto& other : next)
    if (base <= other.base + (other.size - 1) && other.base <= last)
      return fail(errc::already_exists, "bus: {:#x} ... {:#x} overlaps {:#x} ... {:#x}", base, last,
                  other.base, other.base + (other.size - 1));
  next.push_back({base, size, std::move(it)});
  std::ranges::sort(next, {}, &entry::base);
  publish(std::move(next));
  return {};
}

outcome<void> address_space::remove(std::uint64_t base) {
  const std::lock_guard guard{change_};
  auto next = *current_;
  if (std::erase_if(next, [&](const entry& it) { return it.base == base; }) == 0)
    return fail(errc::not_found, "bus: no target at {:#x}", base);
  publish(std::move(next));
  return {};
}

void address_space::publish(map next) {
  auto other = std::make_unique<const map>(std::move(next));
  map_.store(other.get(), ordered);
  current_.swap(other); // The old one lives until nobody can look at it.
  auto& count = visitors_[epoch_.fetch_add(1, ordered) % 2].count;
  for (auto left = count.load(ordered); left != 0; left = count.load(ordered))
    count.wait(left, ordered);
}

const address_space::entry* address_space::find(const map& in, std::uint64_t at,
                                                std::size_t length) noexcept {
  auto after = std::ranges::upper_bound(in, at, {}, &entry::base);
  const auto* const found = after == in.begin() ? nullptr : &*std::prev(after);
  const auto known = found != nullptr && at - found->base < found->size;
  if (!known)
    counters_.unknown.fetch_add(1, std::memory_order_relaxed);
  else if (!proper(length) || length > found->size - (at - found->base))
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
  else
    return found;
  return nullptr;
}

void address_space::read(std::uint64_t at, std::span<std::byte> into) noexcept {
  counters_.reads.fetch_add(1, std::memory_order_relaxed);
  const visit here{*this};
  const auto* const found = find(here.seen(), at, into.size());
  std::ranges::fill(into, found != nullptr ? std::byte{0} : nobody_);
  if (found != nullptr)
    found->it->read(at - found->base, into);
}

void address_space::write(std::uint64_t at, std::span<const std::byte> from) noexcept {
  counters_.writes.fetch_add(1, std::memory_order_relaxed);
  const visit here{*this};
  if (const auto* const found = find(here.seen(), at, from.size()))
    found->it->write(at - found->base, from);
}

} // namespace troupe::bus
