#pragma once

#include "guest/agent/core/sandbox.hpp"

#include <asio/post.hpp>

#include <exception>
#include <utility>

namespace troupe::guest {

/// The job's result; what it throws (no memory) becomes its failure.
template <class Result>
Result guarded(const std::function<Result()>& job) noexcept {
  try {
    return job();
  } catch (const std::exception& error) {
    return fail(errc::host_io, "agent: {}", error.what());
  }
}

/// For the files that implement sandbox. A job that cannot even be queued makes the failure its
/// result, so `then` always runs.
template <class Result>
void sandbox::in_background(std::function<Result()> job, std::function<void(Result)> then) {
  auto queued = workers_.run([this, job = std::move(job), then] {
    asio::post(
        io_, [then, result = std::make_shared<Result>(guarded(job))] { then(std::move(*result)); });
  });
  if (!queued)
    then(tl::unexpected(std::move(queued).error()));
}

} // namespace troupe::guest
