#include "actors/devices/virtio/blk/engine.hpp"

#include <cerrno>
#include <span>

namespace troupe::blk {
namespace {

template <class Call>
io_error each_range(const job& it, const Call& call) noexcept {
  for (const auto& range : std::span{it.ranges}.first(it.range_count))
    if (const auto error = call(range); error != 0)
      return error;
  return 0;
}

io_error call(block_file& on, const job& it) noexcept {
  switch (it.what) {
  case job::operation::read:
    return on.read(it.at, it.buffers);
  case job::operation::write:
    return on.write(it.at, it.buffers, it.durable);
  case job::operation::flush:
    return on.flush();
  case job::operation::discard:
    return each_range(it, [&](const byte_range& of) { return on.discard(of.at, of.length); });
  case job::operation::zero:
    return each_range(it,
                      [&](const byte_range& of) { return on.zero(of.at, of.length, it.unmap); });
  }
  return EINVAL;
}

} // namespace

std::string_view name(engine_kind of) noexcept {
  return of == engine_kind::io_uring ? "io_uring" : "threads";
}

void perform(block_file& on, job& it) noexcept {
  it.error = it.injected != 0 ? it.injected : call(on, it);
  if (it.error == 0 && it.durable && it.range_count > 0)
    it.error = on.flush();
}

} // namespace troupe::blk
