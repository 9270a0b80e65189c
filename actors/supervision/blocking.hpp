#pragma once

#include "actors/supervision/executor.hpp"

#include <caf/behavior.hpp>
#include <caf/scheduled_actor.hpp>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace troupe::actors {

namespace detail {

/// Registers `handler` for an answer that no actor will send, and gives the call that delivers it,
/// from any thread. It holds the actor's memory, not its life.
[[nodiscard]] std::function<void()> expect_wakeup(caf::scheduled_actor* self,
                                                  std::function<void()> handler);

} // namespace detail

/// A blocking job that is about to run. Say at once what happens with its outcome.
template <class T>
class [[nodiscard]] blocking_job {
public:
  using work = std::function<outcome<T>()>;

  blocking_job(caf::scheduled_actor* self, executor& where, job_label label, work job)
      : self_(self), where_(where), label_(std::move(label)), job_(std::move(job)) {}

  /// Starts the job. Exactly one of the two is called, as a message of the actor; none when the
  /// actor ends first. `on_value` takes T (nothing for void), `on_failure` takes failure.
  template <class OnValue, class OnFailure>
  void then(OnValue on_value, OnFailure on_failure) && {
    auto box = std::make_shared<outcome<T>>(fail(errc::internal, "no value"));
    auto wake = detail::expect_wakeup(
        self_, [box, on_value = std::move(on_value), on_failure = std::move(on_failure)]() mutable {
          if (!*box)
            on_failure(std::move(*box).error());
          else if constexpr (std::is_void_v<T>)
            on_value();
          else
            on_value(std::move(**box));
        });
    run_for_value<T>(where_, std::move(label_), std::move(job_),
                     [box, wake = std::move(wake)](outcome<T> result) {
                       *box = std::move(result);
                       wake();
                     });
  }

private:
  caf::scheduled_actor* self_;
  executor& where_;
  job_label label_;
  work job_;
};

/// Runs `job`, which may block, on a thread of `where` and brings its outcome back into the actor.
/// `job` must not touch the actor: give it values. See executor::run for deadlines and failures.
template <class Job>
[[nodiscard]] auto run_blocking(caf::scheduled_actor* self, executor& where, job_label label,
                                Job job) {
  using value = typename std::invoke_result_t<Job>::value_type;
  return blocking_job<value>{self, where, std::move(label), std::move(job)};
}

} // namespace troupe::actors
