#pragma once

#include <span>
#include <string>
#include <string_view>

/// The closed sets of words in an OCI spec.
/// Source: OCI runtime specification 1.1; capabilities(7), getrlimit(2), libseccomp 2.5.
namespace troupe::oci {

using word_set = std::span<const std::string_view>;

[[nodiscard]] word_set capability_words() noexcept; ///< with "CAP_"
[[nodiscard]] word_set rlimit_words() noexcept;
[[nodiscard]] word_set namespace_words() noexcept;
[[nodiscard]] word_set device_words() noexcept;      ///< of linux.devices
[[nodiscard]] word_set device_rule_words() noexcept; ///< of linux.resources.devices
[[nodiscard]] word_set propagation_words() noexcept;
[[nodiscard]] word_set seccomp_action_words() noexcept;
[[nodiscard]] word_set seccomp_operator_words() noexcept;
[[nodiscard]] word_set seccomp_arch_words() noexcept;
[[nodiscard]] word_set seccomp_flag_words() noexcept;

[[nodiscard]] bool contains(word_set words, std::string_view word) noexcept;

} // namespace troupe::oci
