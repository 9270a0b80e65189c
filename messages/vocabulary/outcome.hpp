#pragma once

#include "messages/vocabulary/error.hpp"

#include <fmt/format.h>
#include <tl/expected.hpp>

#include <string>
#include <utility>

namespace troupe {

/// Why something did not happen: a code for programs, a text for people.
struct failure {
  errc code = errc::internal;
  /// Names the field or the stage and the offending value; one line, no trailing full stop.
  std::string text;
  /// errno of the system call behind it, 0 when there is none.
  int os_error = 0;

  /// "host_io: open rootfs: No such file or directory".
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const failure&, const failure&) = default;
};

/// A value or the failure that stood in its way. [[nodiscard]] by the type: an ignored outcome is a
/// bug.
template <class T>
using outcome = tl::expected<T, failure>;

using failed = tl::unexpected<failure>;

// What makes a failure or hands one on is [[gnu::cold]], so that the compiler puts it elsewhere: a
// machine is started once, with cold caches, and every cache line of code costs 0.1 us then.

/// `return fail(errc::invalid_argument, "id: {} is too long", id);`
template <class... Args>
[[nodiscard, gnu::cold, gnu::noinline]] failed fail(errc code, fmt::format_string<Args...> text,
                                                    Args&&... args) {
  return failed{failure{code, fmt::format(text, std::forward<Args>(args)...), 0}};
}

/// A failed system call. `what` names it with its object: "open /dev/kvm". ENOENT and EEXIST and
/// the like stay host_io: only the caller knows whose fault a missing file is.
[[nodiscard, gnu::cold]] failed fail_errno(std::string_view what, int os_error);

/// The same failure, seen from one level up: "boot: start qemu: ...".
[[nodiscard, gnu::cold]] failed within(std::string_view stage, failure why);

namespace detail {
template <class Why>
[[nodiscard, gnu::cold, gnu::noinline]] tl::unexpected<Why> passed_on(Why& why) {
  return tl::unexpected<Why>{std::move(why)};
}
inline void take(outcome<void>&&) {}
template <class T>
T take(outcome<T>&& value) {
  return *std::move(value);
}
} // namespace detail

/// The value of an outcome, or return its failure from the enclosing function.
/// `const auto fd = TRY(open_file(path));`
#define TRY(expression)                                                                            \
  ({                                                                                               \
    auto troupe_outcome = (expression);                                                            \
    if (!troupe_outcome)                                                                           \
      return ::troupe::detail::passed_on(troupe_outcome.error());                                  \
    ::troupe::detail::take(std::move(troupe_outcome));                                             \
  })

} // namespace troupe
