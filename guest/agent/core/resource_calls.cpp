#include "guest/agent/cgroup/stats.hpp"
#include "guest/agent/core/background.hpp"
#include "guest/agent/core/sandbox.hpp"
#include "guest/agent/spec/resources.hpp"

namespace troupe::guest {
namespace {

/// A frozen cgroup waits for its last process to leave the kernel.
constexpr milliseconds freeze_deadline{10000};

} // namespace

void sandbox::update_container(const grpc::UpdateContainerRequest& request, answer<nothing> done) {
  const auto target = find(request.container_id());
  auto legal = target ? (*target)->require({container_phase::created, container_phase::running})
                      : tl::unexpected(target.error());
  auto writes = cgroup_writes(request.resources());
  if (!legal || !writes)
    return done(tl::unexpected(!legal ? std::move(legal).error() : std::move(writes).error()));
  in_background<outcome<nothing>>(
      [group = (*target)->group, writes = *std::move(writes)]() -> outcome<nothing> {
        TRY(group->apply(writes));
        return nothing{};
      },
      std::move(done));
}

void sandbox::stats_container(const grpc::StatsContainerRequest& request,
                              answer<grpc::StatsContainerResponse> done) {
  const auto target = find(request.container_id());
  auto legal = target ? (*target)->require({container_phase::created, container_phase::running})
                      : tl::unexpected(target.error());
  if (!legal)
    return done(tl::unexpected(std::move(legal).error()));
  in_background<outcome<grpc::StatsContainerResponse>>(
      [group = (*target)->group]() -> outcome<grpc::StatsContainerResponse> {
        grpc::StatsContainerResponse reply;
        *reply.mutable_cgroup_stats() = read_stats(*group);
        return reply;
      },
      std::move(done));
}

void sandbox::freeze(const std::string& id, bool frozen, answer<nothing> done) {
  const auto target = find(id);
  auto legal = target ? (*target)->require({container_phase::created, container_phase::running})
                      : tl::unexpected(target.error());
  if (!legal)
    return done(tl::unexpected(std::move(legal).error()));
  in_background<outcome<nothing>>(
      [group = (*target)->group, frozen]() -> outcome<nothing> {
        TRY(group->freeze(frozen, freeze_deadline));
        return nothing{};
      },
      std::move(done));
}

void sandbox::pause_container(const grpc::PauseContainerRequest& request, answer<nothing> done) {
  freeze(request.container_id(), true, std::move(done));
}

void sandbox::resume_container(const grpc::ResumeContainerRequest& request, answer<nothing> done) {
  freeze(request.container_id(), false, std::move(done));
}

} // namespace troupe::guest
