#include "actors/runtime.hpp"

#include "actors/agent/agent_actor.hpp"
#include "actors/container/container_actor.hpp"
#include "actors/devices/device_actor.hpp"
#include "actors/devices/pod/device_parts.hpp"
#include "actors/dispatcher.hpp"
#include "actors/sandbox/hypervisor/asio_watcher.hpp"
#include "actors/sandbox/hypervisor/builtin/builtin.hpp"
#include "actors/sandbox/hypervisor/qemu/qemu.hpp"
#include "actors/sandbox/pod/pod_directory.hpp"
#include "actors/sandbox/sandbox_actor.hpp"
#include "actors/sharefs/sharefs_actor.hpp"
#include "actors/supervision/fx_pool.hpp"
#include "actors/supervision/io_loop.hpp"
#include "actors/supervision/system.hpp"
#include "actors/vcpu/machine_actor.hpp"
#include "messages/vocabulary/log.hpp"

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <future>

namespace troupe {
namespace {

constexpr milliseconds default_stop_patience{20'000};
/// Pause before a part that is being restarted is asked again; doubles up to the second.
constexpr milliseconds first_retry{2};
constexpr milliseconds longest_retry{200};

/// There is always a plan, so that a pod's configuration can arm it.
runtime_options with_faults(runtime_options options) {
  if (!options.faults)
    options.faults = std::make_shared<fault_plan>();
  return options;
}

/// More restarts within the window than this end a supervisor of a pod's: the pod, or, counted as
/// one restart of the pod's, its machine's actors, which find their ledgers again.
constexpr std::uint32_t most_restarts = 10;

actors::supervisor_args tree_of(std::function<std::vector<actors::child_spec>()> children) {
  actors::supervisor_args out;
  out.policy.max_restarts = most_restarts;
  out.children = std::move(children);
  return out;
}

/// Its children end at once unless a thread hangs.
constexpr actors::child_options machine_tree{restart_mode::permanent, milliseconds{15'000}};

/// Everything of one pod that outlives its actors.
struct pod_parts {
  pod_ptr pod;
  sandbox_args logic;
  machine_args machine;
  agent_args agent;
  sharefs_args sharefs;
  std::vector<device_args> devices;
  device_manager_args manager;
  device_manager_ref manager_place;
  /// Of machine, processors and devices.
  actors::ref<actors::supervisor_actor> machine_supervisor;
};

/// A container's supervisor must outlast the way down of the container in it. It is not restarted:
/// the pod ends when a container's actors cannot be kept alive.
constexpr actors::child_options container_supervisor{restart_mode::temporary, milliseconds{10'000}};

container_tree make_container(const sandbox_args& pod, const sharefs_ref& sharefs,
                              container_ledger made) {
  const auto path = pod.supervisor.path() + "/" + container_tree_name(made.state.id());
  const container_args logic{pod.pod,
                             std::make_shared<container_ledger>(std::move(made)),
                             container_ref{path + "/container"},
                             pod.me,
                             pod.agent,
                             sharefs,
                             actors::ref<actors::supervisor_actor>{path}};
  actors::supervisor_args tree;
  tree.children = [logic] {
    return std::vector<actors::child_spec>{actors::child(logic.me, {}, run_container, logic)};
  };
  tree.observe = [owner = pod.me](const actors::supervision_event& what) {
    if (what.what == actors::supervision_event::kind::escalated)
      actors::tell(owner, part_lost{what.why.value_or(failure{})});
  };
  return {logic.me, actors::child(logic.supervisor, container_supervisor, actors::supervise, tree)};
}

} // namespace

class runtime::core {
public:
  explicit core(runtime_options options)
      : options_(with_faults(std::move(options))), fx_({}, options_.faults),
        watcher_(io_.context()), registry_(std::make_shared<sandbox_registry>()),
        actors_(system_options_of(options_)) {}

  outcome<void> begin();
  outcome<void> add_sandbox(sandbox_options options);
  outcome<void> remove_sandbox(const sandbox_id& id);
  template <class Order>
  void ask_sandbox(const sandbox_id& id, const char* stage, milliseconds patience,
                   reply_box<void> reply);
  template <class Answer>
  void ask_until(time_point end, milliseconds pause, reply_box<Answer> reply,
                 std::function<void(reply_box<Answer>)> ask);
  template <class Command>
  void submit(task_call<Command> call);
  asio::io_context& io() { return io_.context(); }
  outcome<void> stop(milliseconds patience);

private:
  static actors::system_options system_options_of(const runtime_options& options);
  std::shared_ptr<pod_parts> make_parts(const sandbox_options& options);
  pod_ptr make_pod(const sandbox_options& options);
  static std::vector<device_parts> parts_of_devices(const pod_parts& parts);
  static void add_devices(pod_parts& parts);
  std::shared_ptr<hypervisor::driver> make_driver(const pod_ptr& pod, const std::string& name,
                                                  hypervisor::event_handler tell);
  static std::vector<actors::child_spec> machine_children_of(const pod_parts& parts);
  static std::vector<actors::child_spec> children_of(const std::shared_ptr<pod_parts>& parts);
  void pod_given_up(const std::shared_ptr<pod_parts>& parts, const failure& why);
  template <class Message>
  outcome<void> ask_root(const char* stage, Message message);

  runtime_options options_;
  io_loop io_;
  fx_pool fx_;
  std::unique_ptr<devices::worker_pool> workers_;
  hypervisor::asio_watcher watcher_;
  std::shared_ptr<sandbox_registry> registry_;
  actors::actor_system_host actors_;
  actors::ref<actors::supervisor_actor> root_;
  actors::ref<dispatcher_actor> dispatcher_{"root/dispatcher"};
  bool stopped_ = false;
};

// -- start and stop
// --------------------------------------------------------------------------------

actors::system_options runtime::core::system_options_of(const runtime_options& options) {
  auto found = actors::system_options::from_environment();
  if (!found)
    log::warn("runtime", "{}", found.error().text);
  auto out = found ? std::move(*found) : actors::system_options{};
  out.faults = options.faults;
  return out;
}

outcome<void> runtime::core::begin() {
  workers_ = TRY(devices::worker_pool::start(options_.device_threads));
  actors::supervisor_args tree;
  tree.children = [this] {
    return std::vector<actors::child_spec>{actors::child(
        dispatcher_, {}, run_dispatcher, std::shared_ptr<const sandbox_registry>{registry_})};
  };
  root_ = actors_.start_root("root", std::move(tree));
  return {};
}

outcome<void> runtime::core::stop(milliseconds patience) {
  if (std::exchange(stopped_, true))
    return {};
  auto down = actors_.stop(patience);
  auto idle = fx_.close(patience);
  io_.stop();
  return down ? idle : down;
}

// -- pods
// ------------------------------------------------------------------------------------------

pod_ptr runtime::core::make_pod(const sandbox_options& options) {
  machine_place place;
  place.id = options.id;
  place.directory = options.directory;
  place.token = pod::new_token();
  place.share_tag = prepare::share_tag;
  place.bare = options.bare;
  place.disks = options.disks;
  return pod_ptr{new pod_context{
      options.id,
      std::move(place),
      options.values.value_or(config::config{}),
      options.values.has_value(),
      nullptr,
      {},
      {},
      {},
      {},
      fx_,
      io_.context(),
      *workers_,
      options_.faults,
      options_.cache_directory,
      [id = options.id, tell = options_.on_event](event::any what) {
        if (tell)
          tell({id, std::chrono::system_clock::now(), std::move(what)});
      },
      [id = options.id, tell = options_.on_machine_end](const hypervisor::exit_info& how) {
        if (tell)
          tell(id, how);
      }}};
}

/// In the order in which the guest finds them.
std::vector<device_parts> runtime::core::parts_of_devices(const pod_parts& parts) {
  const auto& pod = parts.pod;
  const auto& place = pod->place;
  const auto threads = [pod] {
    return static_cast<std::uint16_t>(pod->values.budgets.share_threads);
  };
  const auto engine = [pod] { return disk_engine(pod->values.hypervisor(pod->chosen.hypervisor)); };
  std::vector<device_parts> out{
      vsock_parts(place), fs_parts(place, parts.sharefs.ledger->session, threads), rng_parts()};
  for (std::size_t i = 0; i < place.disks.size(); ++i)
    out.push_back(disk_parts(place, i, pod->faults, engine));
  return out;
}

void runtime::core::add_devices(pod_parts& parts) {
  const auto& path = parts.machine_supervisor.path();
  parts.manager = {parts.pod, {}};
  for (auto& one : parts_of_devices(parts)) {
    const device_ref place{path + "/" + one.name};
    parts.devices.push_back({parts.pod, std::move(one), std::make_shared<device_ledger>(), place});
    parts.manager.devices.push_back(place);
  }
  parts.manager_place = device_manager_ref{path + "/devices"};
}

/// Nothing for a name that no hypervisor has.
std::shared_ptr<hypervisor::driver> runtime::core::make_driver(const pod_ptr& pod,
                                                               const std::string& name,
                                                               hypervisor::event_handler tell) {
  if (name == hypervisor::builtin_name)
    return hypervisor::builtin::make({pod, &pod->board}, std::move(tell));
  if (name == "qemu")
    return hypervisor::qemu::make(watcher_, std::move(tell));
  return nullptr;
}

std::shared_ptr<pod_parts> runtime::core::make_parts(const sandbox_options& options) {
  const auto path = "root/sandbox:" + options.id.str();
  auto out = std::make_shared<pod_parts>();
  out->pod = make_pod(options);
  auto& logic = out->logic;
  logic.pod = out->pod;
  logic.ledger =
      std::make_shared<sandbox_ledger>(sandbox_ledger{sandbox_state{options.id, !options.bare}});
  logic.me = sandbox_ref{path + "/sandbox"};
  out->machine_supervisor = actors::ref<actors::supervisor_actor>{path + "/machine"};
  logic.machine = machine_ref{path + "/machine/machine"};
  logic.agent = agent_ref{path + "/agent"};
  const sharefs_ref sharefs{path + "/sharefs"};
  logic.supervisor = actors::ref<actors::supervisor_actor>{path};
  out->machine = {out->pod,
                  std::make_shared<machine_ledger>(),
                  logic.machine,
                  logic.me,
                  out->machine_supervisor,
                  [this, pod = out->pod](const std::string& name, hypervisor::event_handler tell) {
                    return make_driver(pod, name, std::move(tell));
                  }};
  out->agent = {out->pod, std::make_shared<agent_ledger>(), logic.agent, logic.me};
  fuse::limits bounds;
  bounds.cached_descriptors = out->pod->values.budgets.share_descriptors;
  out->sharefs = {
      out->pod,
      std::make_shared<sharefs_ledger>(sharefs_ledger{std::make_shared<fuse::session>(bounds), {}}),
      sharefs};
  add_devices(*out);
  logic.devices = out->manager_place;
  logic.make_container = [pod = logic, sharefs](const create_task& request, std::uint32_t pid,
                                                bool ready) {
    container_ledger made{container_state{request, pid}};
    made.machine_ready = ready;
    return make_container(pod, sharefs, std::move(made));
  };
  return out;
}

std::vector<actors::child_spec> runtime::core::machine_children_of(const pod_parts& parts) {
  std::vector<actors::child_spec> out{
      actors::child(parts.machine.me, {}, run_machine, parts.machine)};
  for (const auto& device : parts.devices)
    out.push_back(actors::child(device.me, {}, run_device, device));
  out.push_back(actors::child(parts.manager_place, {}, run_device_manager, parts.manager));
  return out;
}

std::vector<actors::child_spec>
runtime::core::children_of(const std::shared_ptr<pod_parts>& parts) {
  const auto machine = tree_of([parts] { return machine_children_of(*parts); });
  return {
      actors::child(parts->machine_supervisor, machine_tree, actors::supervise, machine),
      actors::child(parts->sharefs.me, {}, run_sharefs, parts->sharefs),
      actors::child(parts->agent.me, {}, run_agent, parts->agent),
      actors::child(parts->logic.me, {}, run_sandbox, parts->logic),
  };
}

template <class Message>
outcome<void> runtime::core::ask_root(const char* stage, Message message) {
  constexpr milliseconds patience{15'000};
  const auto answered = std::make_shared<std::promise<outcome<void>>>();
  auto future = answered->get_future();
  actors_.ask(root_, patience, stage, std::move(message),
              reply_box<void>{
                  [answered](outcome<void> result) { answered->set_value(std::move(result)); }});
  return future.get();
}

outcome<void> runtime::core::add_sandbox(sandbox_options options) {
  if (options.disks.size() > max_disks)
    return fail(errc::invalid_argument, "disks: {} are more than {}", options.disks.size(),
                max_disks);
  const auto parts = make_parts(options);
  TRY(registry_->add(options.id, parts->logic.me));
  auto tree = tree_of([parts] { return children_of(parts); });
  tree.observe = [this, parts](const actors::supervision_event& what) {
    if (what.what == actors::supervision_event::kind::escalated)
      pod_given_up(parts, what.why.value_or(failure{}));
  };
  auto added =
      ask_root("add sandbox",
               actors::add_child{actors::child(parts->logic.supervisor,
                                               {restart_mode::temporary, milliseconds{30'000}},
                                               actors::supervise, tree)});
  if (!added)
    registry_->remove(options.id);
  return added;
}

outcome<void> runtime::core::remove_sandbox(const sandbox_id& id) {
  TRY(registry_->find(id));
  registry_->remove(id);
  return ask_root("remove sandbox", actors::remove_child{"sandbox:" + id.str()});
}

/// The last resort: no actor of the pod is left, so its ledgers are ended by hand.
void runtime::core::pod_given_up(const std::shared_ptr<pod_parts>& parts, const failure& why) {
  log::error(parts->logic.supervisor.path(), "given up: {}", why.text);
  parts->pod->fate.ended(why);
  const auto end = monotonic_clock::now() + default_stop_patience;
  fx_.run(
      {parts->pod->id.str(), "end a pod that was given up", end},
      [parts, end]() -> outcome<void> {
        if (const auto& driver = parts->machine.ledger->driver)
          (void)driver->stop(end);
        parts->pod->board.clear();
        for (const auto& device : parts->devices)
          device.ledger->link.reset();
        if (parts->pod->journal)
          (void)pod::close_directory(parts->pod->place.directory, *parts->pod->journal, end);
        return {};
      },
      [this, parts, why](const outcome<void>&) {
        registry_->remove(parts->pod->id);
        if (options_.on_sandbox_lost)
          options_.on_sandbox_lost(parts->pod->id, why);
      });
}

// -- commands
// --------------------------------------------------------------------------------------

/// Asks again, a little later each time, while the part that answers is being restarted.
template <class Answer>
void runtime::core::ask_until(time_point end, milliseconds pause, reply_box<Answer> reply,
                              std::function<void(reply_box<Answer>)> ask) {
  auto again = [this, end, pause, reply, ask](outcome<Answer> result) {
    const auto over = end - monotonic_clock::now() <= pause || stopped_;
    if (result || !retryable(result.error().code) || over)
      return reply.answer(std::move(result));
    auto timer = std::make_shared<asio::steady_timer>(io_.context(), pause);
    timer->async_wait([this, end, pause, reply, ask, timer](const asio::error_code& error) {
      if (!error)
        ask_until(end, std::min(pause * 2, longest_retry), reply, ask);
    });
  };
  ask(reply_box<Answer>{std::move(again)});
}

template <class Order>
void runtime::core::ask_sandbox(const sandbox_id& id, const char* stage, milliseconds patience,
                                reply_box<void> reply) {
  const auto place = registry_->find(id);
  if (!place)
    return reply.answer(tl::unexpected(place.error()));
  const auto end = monotonic_clock::now() + patience;
  ask_until<void>(
      end, first_retry, std::move(reply), [this, place = *place, stage, end](reply_box<void> box) {
        const auto left = std::chrono::duration_cast<milliseconds>(end - monotonic_clock::now());
        actors_.ask(place, left, stage, Order{}, std::move(box));
      });
}

template <class Command>
void runtime::core::submit(task_call<Command> call) {
  using answer = typename Command::reply;
  ask_until<answer>(call.command.context.deadline, first_retry, call.reply,
                    [this, call](reply_box<answer> box) {
                      actors::tell(dispatcher_, task_call<Command>{call.command, std::move(box)});
                    });
}

// -- the public face
// -------------------------------------------------------------------------------

runtime::runtime(std::unique_ptr<core> made) : core_(std::move(made)) {}

runtime::~runtime() {
  (void)stop(default_stop_patience);
}

outcome<std::unique_ptr<runtime>> runtime::start(runtime_options options) {
  auto made = std::make_unique<core>(std::move(options));
  TRY(made->begin());
  return std::unique_ptr<runtime>{new runtime{std::move(made)}};
}

outcome<void> runtime::add_sandbox(sandbox_options options) {
  return core_->add_sandbox(std::move(options));
}

outcome<void> runtime::remove_sandbox(const sandbox_id& id) {
  return core_->remove_sandbox(id);
}

void runtime::boot(const sandbox_id& id, milliseconds patience, reply_box<void> reply) {
  core_->ask_sandbox<boot_sandbox>(id, "boot", patience, std::move(reply));
}

void runtime::pause(const sandbox_id& id, milliseconds patience, reply_box<void> reply) {
  core_->ask_sandbox<pause_sandbox>(id, "pause", patience, std::move(reply));
}

void runtime::resume(const sandbox_id& id, milliseconds patience, reply_box<void> reply) {
  core_->ask_sandbox<resume_sandbox>(id, "resume", patience, std::move(reply));
}

void runtime::submit(any_task_call call) {
  std::visit([this](auto& typed) { core_->submit(std::move(typed)); }, call);
}

asio::io_context& runtime::io() {
  return core_->io();
}

outcome<void> runtime::stop(milliseconds patience) {
  return core_->stop(patience);
}

} // namespace troupe
