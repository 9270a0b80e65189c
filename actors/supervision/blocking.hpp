#pragma once

#include "actors/supervision/callback.hpp"
#include "actors/supervision/executor.hpp"

#include <type_traits>
#include <utility>

namespace troupe::actors {

/// Runs `job`, which may block, on a thread of `where` and brings its outcome back into the actor
/// `self`: `run_blocking(self, fx, {share, stage, deadline}, job).then(on_value, on_failure)`.
/// `job` must not touch the actor: give it values. See executor::run for deadlines and failures.
template <class Job>
[[nodiscard]] auto run_blocking(caf::scheduled_actor* self, executor& where, job_label label,
                                Job job) {
  using value = typename std::invoke_result_t<Job>::value_type;
  return callback_call<value>{
      self, [&where, label = std::move(label), job = std::move(job)](auto finished) {
        run_for_value<value>(where, label, job, std::move(finished));
      }};
}

} // namespace troupe::actors
