#include "actors/vcpu/run/vcpu_thread.hpp"

#include "actors/supervision/thread.hpp"
#include "actors/vcpu/run/dispatch.hpp"
#include "actors/vcpu/run/kick_signal.hpp"
#include "actors/vcpu/run/last_words.hpp"
#include "messages/vocabulary/log.hpp"

#include <exception>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace troupe::vcpu {
namespace {

// One instruction makes at most one exit per 8 bytes of the two pages it may touch. Beyond that KVM
// is not finishing it, and a guest must not keep us trying.
constexpr int max_exits_of_an_instruction = 1024;

// What is in `doing_`: the kind on top, an address or a port below. Guest addresses have 52 bits.
constexpr std::uint64_t kind_shift = 56;
constexpr std::uint64_t where_mask = (std::uint64_t{1} << kind_shift) - 1;
enum class activity : std::uint64_t { commands, guest, port, memory, exit };

constexpr std::uint64_t pack(activity what, std::uint64_t where = 0) {
  return static_cast<std::uint64_t>(what) << kind_shift | (where & where_mask);
}

// Faults of guest or KVM, where registers tell more than the reason.
bool wants_last_words(end_reason reason) noexcept {
  switch (reason) {
  case end_reason::shutdown:
  case end_reason::internal_error:
  case end_reason::refused_entry:
  case end_reason::hlt_without_irqchip:
  case end_reason::unexpected_exit:
    return true;
  default:
    return false;
  }
}

std::span<const std::byte> instruction_of(const kvm::exit_event& exit) noexcept {
  if (const auto* error = std::get_if<kvm::internal_error_exit>(&exit))
    return std::span{error->instruction}.first(error->instruction_size);
  return {};
}

} // namespace

outcome<std::unique_ptr<vcpu_thread>> vcpu_thread::start(thread_options options) {
  TRY(prepare_kick_signal());
  std::unique_ptr<vcpu_thread> it{new vcpu_thread{std::move(options)}};
  try {
    it->thread_ = start_thread("vcpu" + std::to_string(it->processor().id()),
                               [raw = it.get()] { raw->body(); });
  } catch (const std::system_error& error) {
    return fail_errno(fmt::format("vcpu{}: start its thread", it->processor().id()),
                      error.code().value());
  }
  return it;
}

vcpu_thread::~vcpu_thread() {
  (void)ask(command::end); // Never refused.
  if (thread_.joinable())
    thread_.join();
}

outcome<void> vcpu_thread::ask(command what) {
  const std::lock_guard lock{mutex_};
  if (auto taken = control_.ask(what); !taken)
    return within(fmt::format("vcpu{}", processor().id()), std::move(taken).error());
  attention_ = true;
  changed_.notify_all();
  if (control_.where() != phase::running || control_.next() == step::enter_guest)
    return {};
  // In this order: whether the thread is about to enter the guest, in it, or on its way out, it
  // meets the flag or the signal, and after clearing the flag it looks at attention_ again.
  processor().set_immediate_exit(true);
  kick(tid_);
  return {};
}

outcome<void> vcpu_thread::await(command what, milliseconds limit) {
  std::unique_lock lock{mutex_};
  const auto settled = [&] { return control_.wanted() != what || control_.obeyed(); };
  if (!changed_.wait_for(lock, limit, settled))
    return fail(errc::deadline_exceeded, "vcpu{}: {}: not within {} ms: {}", processor().id(),
                name(what), limit.count(), stage());
  if (control_.wanted() != what)
    return fail(errc::cancelled, "vcpu{}: {}: {} came after it", processor().id(), name(what),
                name(control_.wanted()));
  if (what == command::run && control_.where() == phase::parked)
    return fail(errc::machine_gone, "vcpu{}: run: {}", processor().id(), why_->text);
  return {};
}

outcome<void> vcpu_thread::pause(milliseconds limit) {
  TRY(ask(command::pause));
  return await(command::pause, limit);
}

outcome<void> vcpu_thread::end(milliseconds limit) {
  TRY(ask(command::end));
  return await(command::end, limit);
}

phase vcpu_thread::where() const {
  const std::lock_guard lock{mutex_};
  return control_.where();
}

std::optional<vcpu_end> vcpu_thread::why() const {
  const std::lock_guard lock{mutex_};
  return why_;
}

void vcpu_thread::body() noexcept {
  allow_only_kick_signal();
  tid_ = ::gettid();
  begin();
  while (obey())
    turn();
}

void vcpu_thread::begin() {
  const auto start = std::exchange(options_.on_thread_start, {});
  if (!start)
    return;
  try {
    if (const auto begun = start(); !begun)
      park({end_reason::start_failed, begun.error().to_string()});
  } catch (const std::exception& error) {
    park({end_reason::start_failed, error.what()});
  } catch (...) {
    park({end_reason::start_failed, "exception of unknown type"});
  }
}

// Does what was asked for and sleeps while that is "wait". True: enter the guest; false: leave.
bool vcpu_thread::obey() {
  if (!attention_)
    return true;
  std::unique_lock lock{mutex_};
  for (;;) {
    attention_ = false;
    const auto next = control_.next();
    if (next == step::enter_guest) {
      become(phase::running, lock);
      return true;
    }
    if (instruction_open_) {
      lock.unlock();
      finish_instruction();
      lock.lock();
      continue; // Other commands may have come.
    }
    become(next == step::leave ? phase::ended : phase::paused, lock);
    if (next == step::leave)
      return false;
    changed_.wait(lock, [this] { return attention_.load(); });
  }
}

void vcpu_thread::become(phase where, std::unique_lock<std::mutex>& lock) {
  const auto before = control_.where();
  control_.reached(where);
  if (control_.where() == before)
    return;
  if (where == phase::ended && !why_)
    why_ = vcpu_end{end_reason::asked, "end of the machine"};
  if (where == phase::paused && before == phase::running)
    counters::add(count_.pauses);
  changed_.notify_all();
  lock.unlock();
  if (where == phase::running && count_.exits > 0)
    (void)processor().kvmclock_ctrl(); // A guest without kvmclock loses nothing.
  tell(where);
  lock.lock();
}

void vcpu_thread::turn() {
  doing(pack(activity::guest));
  const auto result = processor().run();
  doing(pack(activity::commands));
  counters::add(count_.exits);
  instruction_open_ = false;
  if (!result)
    return park(
        {end_reason::host_error, fmt::format("{}: {}", result.error().to_string(),
                                             last_words(processor(), options_.ram.get(), {}))});
  if (*result == kvm::run_result::exited)
    return serve();
  if (*result == kvm::run_result::interrupted) {
    processor().set_immediate_exit(false);
    counters::add(count_.intr);
  }
}

void vcpu_thread::serve() {
  const auto exit = processor().last_exit();
  if (!exit)
    return park({end_reason::host_error, exit.error().to_string()});
  busy_with(*exit);
  auto end = dispatch(*exit, *options_.io, count_);
  doing(pack(activity::commands));
  instruction_open_ = leaves_instruction_open(*exit);
  if (!end)
    return;
  if (wants_last_words(end->reason))
    end->text += ": " + last_words(processor(), options_.ram.get(), instruction_of(*exit));
  park(*std::move(end));
}

// KVM stores a read's value and moves the instruction pointer only when it is run again.
void vcpu_thread::finish_instruction() {
  for (int i = 0; instruction_open_ && i < max_exits_of_an_instruction; ++i) {
    processor().set_immediate_exit(true);
    turn();
  }
  processor().set_immediate_exit(false);
  if (instruction_open_) {
    instruction_open_ = false;
    park({end_reason::internal_error, "KVM does not finish an instruction"});
  }
}

void vcpu_thread::park(vcpu_end how) {
  {
    const std::lock_guard lock{mutex_};
    if (control_.where() == phase::parked)
      return; // The first reason is the reason.
    why_ = std::move(how);
    control_.reached(phase::parked);
    attention_ = true;
    changed_.notify_all();
  }
  tell(phase::parked);
}

void vcpu_thread::tell(phase where) noexcept {
  if (!options_.on_phase)
    return;
  try {
    options_.on_phase(where);
  } catch (const std::exception& error) {
    log::error("vcpu", "vcpu{}: telling {}: {}", processor().id(), name(where), error.what());
  } catch (...) {
    log::error("vcpu", "vcpu{}: telling {}: unknown exception", processor().id(), name(where));
  }
}

void vcpu_thread::busy_with(const kvm::exit_event& exit) noexcept {
  if (const auto* port = std::get_if<kvm::port_exit>(&exit))
    doing(pack(activity::port, port->port));
  else if (const auto* memory = std::get_if<kvm::memory_exit>(&exit))
    doing(pack(activity::memory, memory->at));
  else
    doing(pack(activity::exit));
}

std::string vcpu_thread::stage() const {
  const auto now = doing_.load(std::memory_order_relaxed);
  const auto where = now & where_mask;
  switch (static_cast<activity>(now >> kind_shift)) {
  case activity::guest:
    return "in the guest";
  case activity::port:
    return fmt::format("serving port {:#x}", where);
  case activity::memory:
    return fmt::format("serving address {:#x}", where);
  case activity::exit:
    return "serving an exit";
  case activity::commands:
    break;
  }
  return "between commands";
}

} // namespace troupe::vcpu
