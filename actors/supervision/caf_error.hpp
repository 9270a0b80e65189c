#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <caf/error.hpp>

#include <optional>

namespace troupe::actors {

/// A failure as it travels between actors; from_caf() gives back an equal one.
[[nodiscard]] caf::error to_caf(const failure& why);

/// What an error of an answer means to the asker. CAF's own: receiver down or stopped becomes
/// restarting, timeout becomes deadline_exceeded, a message nobody handles or an exception
/// internal.
[[nodiscard]] failure from_caf(const caf::error& why);

/// The same for the reason an actor ended with; nothing when it ended on its own or was asked to.
[[nodiscard]] std::optional<failure> end_reason(const caf::error& why);

} // namespace troupe::actors
