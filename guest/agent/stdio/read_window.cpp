#include "guest/agent/stdio/read_window.hpp"

namespace troupe::guest {

outcome<std::optional<std::string>> read_window::take(std::size_t length,
                                                      std::optional<std::uint64_t> offset) {
  if (offset && *offset < base_)
    return fail(errc::failed_precondition,
                "offset: {} was acknowledged before, {} is the first kept", *offset, base_);
  if (offset && *offset > base_ + kept_.size())
    return fail(errc::invalid_argument, "offset: {} is beyond the {} bytes read so far", *offset,
                base_ + kept_.size());
  if (offset) {
    kept_.erase(0, static_cast<std::size_t>(*offset - base_));
    base_ = *offset;
  }
  if (kept_.empty())
    return finished_ ? std::optional<std::string>{""} : std::nullopt;
  auto out = kept_.substr(0, length);
  if (!offset) {
    kept_.erase(0, out.size());
    base_ += out.size();
  }
  return out;
}

} // namespace troupe::guest
