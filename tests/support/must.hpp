#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <stdexcept>
#include <type_traits>
#include <utility>

namespace troupe::testing {

/// The value, or an exception with the failure's text.
template <class T>
T must(outcome<T> value) {
  if (!value)
    throw std::runtime_error(value.error().to_string());
  if constexpr (!std::is_void_v<T>)
    return *std::move(value);
}

} // namespace troupe::testing
