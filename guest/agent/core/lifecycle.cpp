#include "guest/agent/cgroup/device_filter.hpp"
#include "guest/agent/core/background.hpp"
#include "guest/agent/core/sandbox.hpp"
#include "guest/agent/spec/convert.hpp"
#include "guest/agent/spec/seccomp.hpp"
#include "messages/vocabulary/ids.hpp"
#include "messages/vocabulary/log.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>

namespace troupe::guest {
namespace {

/// To remove a container when the caller names no limit.
constexpr milliseconds default_remove_deadline{60000};
/// From "go" to a replaced program image: reading it may go through a shared file system.
constexpr milliseconds exec_deadline{30000};

outcome<void> refuse_unserved(const grpc::CreateContainerRequest& request) {
  if (request.devices_size() > 0)
    return fail(errc::unimplemented, "devices: hot-plugged devices");
  if (request.shared_mounts_size() > 0)
    return fail(errc::unimplemented, "shared_mounts: mounts between containers");
  if (request.stdin_port() + request.stdout_port() + request.stderr_port() != 0)
    return fail(errc::unimplemented, "stdin_port, stdout_port, stderr_port: passed descriptors");
  return {};
}

/// What the device filter lets through: the specification's rules, its own device nodes, and what
/// every container may use. The later rule wins.
std::vector<device_rule> all_device_rules(const container_plan& plan) {
  auto rules = plan.device_rules;
  for (const auto& node : plan.devices)
    rules.push_back({true, S_ISBLK(node.mode) ? device_kind::block : device_kind::character,
                     node.major, node.minor,
                     BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD});
  const auto common = common_device_rules();
  rules.insert(rules.end(), common.begin(), common.end());
  return rules;
}

outcome<std::shared_ptr<cgroup>> make_cgroup(const cgroup_settings& settings,
                                             const container_plan& plan) {
  auto group = std::make_shared<cgroup>(TRY(cgroup::create(settings, plan.cgroup_path)));
  auto ready = group->apply(plan.limits);
  if (ready)
    ready = attach_device_filter(group->dir(), all_device_rules(plan));
  if (ready)
    return group;
  (void)group->remove(milliseconds{0}); // nothing ever ran in it
  return tl::unexpected(std::move(ready).error());
}

} // namespace

/// One create on its way. A worker fills it; the loop moves the results into the container.
struct sandbox::creation {
  std::shared_ptr<container> target;
  grpc::CreateContainerRequest request;
  answer<nothing> done;
  /// Of the pod; -1 for the container's own.
  int pid_namespace = -1;
  int ipc_namespace = -1;
  int uts_namespace = -1;
  std::shared_ptr<container_plan> plan;
  std::shared_ptr<cgroup> group;
  std::vector<std::string> mount_points;
  launched child;
};

outcome<std::shared_ptr<container>> sandbox::admit(const grpc::CreateContainerRequest& request) {
  TRY(check_id("container_id", request.container_id()));
  TRY(refuse_unserved(request));
  if (ending_)
    return fail(errc::failed_precondition, "sandbox: is being destroyed");
  if (containers_.contains(request.container_id()))
    return fail(errc::already_exists, "container_id: {} exists", request.container_id());
  if (containers_.size() >= max_containers)
    return fail(errc::resource_exhausted, "sandbox: holds {} containers already", max_containers);
  return std::make_shared<container>(request.container_id());
}

void sandbox::create_container(const grpc::CreateContainerRequest& request, answer<nothing> done) {
  auto plan = to_container_plan(request.oci(), request.container_id());
  auto admitted = admit(request);
  if (!admitted || !plan)
    return done(tl::unexpected(!admitted ? std::move(admitted).error() : std::move(plan).error()));
  auto work = std::make_shared<creation>();
  work->target = *std::move(admitted);
  work->request = request;
  work->done = std::move(done);
  work->plan = std::make_shared<container_plan>(*std::move(plan));
  const int wanted = work->plan->namespaces;
  work->pid_namespace = request.sandbox_pidns() ? pid_.get() : -1;
  work->ipc_namespace = (wanted & CLONE_NEWIPC) != 0 ? ipc_.get() : -1;
  work->uts_namespace = (wanted & CLONE_NEWUTS) != 0 ? uts_.get() : -1;
  containers_[request.container_id()] = work->target;
  reaper_.launch_begins();
  in_background<outcome<nothing>>([this, work] { return build(*work); },
                                  [this, work](outcome<nothing> result) {
                                    install(work, std::move(result));
                                    reaper_.launch_ends();
                                  });
}

/// On a worker. What was made before a failure is in `work`, for take_down().
outcome<nothing> sandbox::build(creation& work) {
  work.mount_points = TRY(storages_.acquire(work.request.storages()));
  if (work.request.oci().linux().has_seccomp())
    work.plan->seccomp = TRY(to_seccomp_plan(work.request.oci().linux().seccomp()));
  work.group = TRY(make_cgroup({options_.cgroup_root, options_.lenient_cgroups}, *work.plan));
  if (*work.target->cancelled)
    return fail(errc::cancelled, "killed while it was created");
  launch_request request;
  request.process = &work.plan->process;
  request.seccomp = &work.plan->seccomp;
  request.group = work.group.get();
  request.container = work.plan.get();
  request.pid_namespace = work.pid_namespace;
  request.ipc_namespace = work.ipc_namespace;
  request.uts_namespace = work.uts_namespace;
  request.pipe_bytes = options_.pipe_bytes;
  work.child = TRY(launch(request));
  return nothing{};
}

/// Back on the loop.
void sandbox::install(const std::shared_ptr<creation>& work, outcome<nothing> built) {
  auto& target = *work->target;
  target.plan = work->plan;
  target.group = work->group;
  target.mount_points = work->mount_points;
  target.mount_namespace = std::move(work->child.mount_namespace);
  if (!built)
    return init_ready(work, tl::unexpected(std::move(built).error()));
  auto init = std::make_shared<process>(io_, target.id(), work->plan->process.terminal);
  target.add({}, init);
  init->adopt(reaper_, std::move(work->child), options_.launch_timeout,
              [this, work](outcome<void> ready) { init_ready(work, std::move(ready)); });
  if (*target.cancelled)
    (void)init->signal(SIGKILL);
}

void sandbox::init_ready(const std::shared_ptr<creation>& work, outcome<void> ready) {
  const auto target = work->target;
  if (!ready) {
    auto why = within(fmt::format("container {}", target->id()), std::move(ready).error());
    log::warn("sandbox", "{}", why.value().text);
    return take_down(target, default_remove_deadline, [work, why](const outcome<nothing>&) {
      work->done(why); // what could not be undone is in the log
    });
  }
  const auto own = fmt::format("/proc/{}", target->find({}).value()->pid());
  target->root.reset(::open((own + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!pid_)
    pid_.reset(::open((own + "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  oom_.add(target->id(), target->group);
  target->enter(container_phase::created);
  log::info("sandbox", "container {} created", target->id());
  work->done(nothing{});
}

void sandbox::start_container(const grpc::StartContainerRequest& request, answer<nothing> done) {
  const auto found = find(request.container_id());
  if (!found)
    return done(tl::unexpected(found.error()));
  const auto target = *found;
  if (auto legal = target->require({container_phase::created}); !legal)
    return done(tl::unexpected(std::move(legal).error()));
  const auto init = target->find({});
  if (!init)
    return done(tl::unexpected(init.error()));
  (*init)->go(exec_deadline, [target, done = std::move(done)](outcome<void> started) {
    if (!started)
      return done(within("container " + target->id(), std::move(started).error()));
    if (target->phase() == container_phase::created)
      target->enter(container_phase::running);
    log::info("sandbox", "container {} started", target->id());
    done(nothing{});
  });
}

void sandbox::remove_container(const grpc::RemoveContainerRequest& request, answer<nothing> done) {
  const auto found = find(request.container_id());
  if (!found)
    return done(tl::unexpected(found.error()));
  if (auto legal = (*found)->require({container_phase::created, container_phase::running}); !legal)
    return done(tl::unexpected(std::move(legal).error()));
  const auto deadline =
      request.timeout() == 0 ? default_remove_deadline : milliseconds{seconds{request.timeout()}};
  take_down(*found, std::min(deadline, default_remove_deadline), std::move(done));
}

/// Ends a container whatever state it is in. It stays known, and can be removed again, if something
/// of it cannot be stopped.
void sandbox::take_down(std::shared_ptr<container> gone, milliseconds deadline,
                        answer<nothing> done) {
  const auto before = gone->phase();
  gone->enter(container_phase::removing);
  oom_.remove(gone->id());
  for (const auto& [exec, one] : gone->processes())
    (void)one->signal(SIGKILL);
  in_background<outcome<nothing>>(
      [this, deadline, group = gone->group, mounts = gone->mount_points]() -> outcome<nothing> {
        if (group) {
          (void)group->kill();
          TRY(group->remove(deadline));
        }
        storages_.release(mounts);
        return nothing{};
      },
      [this, gone, before, done = std::move(done)](outcome<nothing> result) {
        if (!result && before != container_phase::creating) {
          gone->enter(before);
          return done(std::move(result));
        }
        for (const auto& [exec, one] : gone->processes())
          one->close_streams();
        containers_.erase(gone->id());
        log::info("sandbox", "container {} removed", gone->id());
        let_go_of_mounts(*gone);
        done(std::move(result));
      });
}

/// Nobody waits for it, since the host may be slow.
void sandbox::let_go_of_mounts(container& gone) {
  if (!gone.mount_namespace)
    return;
  gone.root.reset();
  mounts_.keep(std::move(gone.mount_namespace));
  if (auto runs = workers_.run([this] { mounts_.let_go(); }); !runs)
    log::debug("sandbox", "mounts are kept until the next removal: {}", runs.error().text);
}

void sandbox::exec_process(const grpc::ExecProcessRequest& request, answer<nothing> done) {
  auto admitted = admit_exec(request);
  if (!admitted)
    return done(tl::unexpected(std::move(admitted).error()));
  const auto in = admitted->in;
  const auto plan = std::make_shared<process_plan>(std::move(admitted->plan));
  const auto one = std::make_shared<process>(io_, fmt::format("{}/{}", in->id(), request.exec_id()),
                                             plan->terminal);
  const auto init = admitted->init;
  in->add(request.exec_id(), one);
  reaper_.launch_begins();
  in_background<outcome<launched>>(
      [this, in, init, plan, container = in->plan] {
        launch_request wanted;
        wanted.process = plan.get();
        wanted.seccomp = &container->seccomp;
        wanted.fallback = container->process.capabilities.value_or(capability_sets{});
        wanted.group = in->group.get();
        wanted.init_pidfd = init->pidfd();
        wanted.root = in->root.get();
        wanted.pipe_bytes = options_.pipe_bytes;
        return launch(wanted);
      },
      [this, in, one, exec = request.exec_id(),
       done = std::move(done)](outcome<launched> child) mutable {
        launched_exec(in, exec, one, std::move(child), std::move(done));
        reaper_.launch_ends();
      });
}

outcome<sandbox::exec_admission> sandbox::admit_exec(const grpc::ExecProcessRequest& request) {
  TRY(check_id("exec_id", request.exec_id()));
  if (request.stdin_port() + request.stdout_port() + request.stderr_port() != 0)
    return fail(errc::unimplemented, "stdin_port, stdout_port, stderr_port: passed descriptors");
  exec_admission out;
  out.in = TRY(find(request.container_id()));
  TRY(out.in->require({container_phase::created, container_phase::running}));
  TRY(out.in->can_add(request.exec_id()));
  out.init = TRY(out.in->find({}));
  if (out.init->phase() == process_phase::exited)
    return fail(errc::failed_precondition, "container {}: its init has exited", out.in->id());
  out.plan = TRY(to_process_plan(request.process()));
  return out;
}

void sandbox::launched_exec(const std::shared_ptr<container>& in, const std::string& exec,
                            const std::shared_ptr<process>& one, outcome<launched> child,
                            answer<nothing> done) {
  const auto answered = [in, exec, one, done = std::move(done)](outcome<void> started) {
    if (started)
      return done(nothing{});
    in->forget(exec);
    done(within(one->name(), std::move(started).error()));
  };
  if (!child)
    return answered(tl::unexpected(std::move(child).error()));
  one->adopt(reaper_, *std::move(child), options_.launch_timeout,
             [one, answered](outcome<void> ready) {
               if (!ready)
                 return answered(std::move(ready));
               one->go(exec_deadline, answered);
             });
  one->wait([in, exec](const outcome<exit_info>&) { in->keep_exit(exec); });
}

} // namespace troupe::guest
