#pragma once

#include "actors/runtime.hpp"

#include <future>
#include <memory>

namespace troupe::ctl {

/// How much longer than its deadline a command's answer may take before we stop listening.
inline constexpr milliseconds answer_grace{5000};

/// Hands a command in and waits for its answer. Not on a thread of the runtime.
/// @param patience milliseconds::max() = for ever.
template <class Command>
outcome<typename Command::reply> ask(runtime& host, Command command, milliseconds patience) {
  using answer = outcome<typename Command::reply>;
  const auto answered = std::make_shared<std::promise<answer>>();
  auto future = answered->get_future();
  const bool bounded = patience != milliseconds::max();
  command.context.caller = "troupectl";
  if (bounded)
    command.context.deadline = monotonic_clock::now() + patience;
  host.submit(task_call<Command>{std::move(command),
                                 reply_box<typename Command::reply>{[answered](answer result) {
                                   answered->set_value(std::move(result));
                                 }}});
  if (bounded && future.wait_for(patience + answer_grace) != std::future_status::ready)
    return fail(errc::deadline_exceeded, "no answer");
  return future.get();
}

} // namespace troupe::ctl
