#include "actors/supervision/hosted_actor.hpp"

#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/system.hpp"
#include "messages/vocabulary/log.hpp"

#include <caf/actor_clock.hpp>
#include <caf/exit_reason.hpp>
#include <caf/response_promise.hpp>
#include <caf/sec.hpp>
#include <caf/system_messages.hpp>

#include <cstdlib>
#include <cxxabi.h>
#include <new>
#include <stdexcept>

namespace troupe::actors {

namespace {

/// How the fault plan's `kill` leaves a handler.
struct injected_kill {};

std::string describe_current() {
  try {
    throw;
  } catch (const injected_kill&) {
    return "killed by the fault plan";
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

/// Whoever throws over a request would throw again; who was killed had nothing to do with it.
errc code_of_current() {
  try {
    throw;
  } catch (const injected_kill&) {
    return errc::restarting;
  } catch (...) {
    return errc::internal;
  }
}

caf::error exit_for(std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const injected_kill&) {
    return caf::exit_reason::kill;
  } catch (const std::bad_alloc&) {
    return to_caf({errc::resource_exhausted, "out of memory", 0});
  } catch (...) {
    return to_caf({errc::internal, describe_current(), 0});
  }
}

caf::result<caf::message> refuse_unknown(caf::scheduled_actor* self, caf::message_view& view) {
  log::error(path_of(self), "{}: no handler for this message", message_name(view.content()));
  return caf::make_error(caf::sec::unexpected_message);
}

std::string readable(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name{
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), &std::free};
  std::string text = name ? name.get() : mangled;
  const auto end_of_scope = text.substr(0, text.find('<')).rfind(':');
  return end_of_scope == std::string::npos ? text : text.substr(end_of_scope + 1);
}

void answer_error(caf::scheduled_actor& self, caf::mailbox_element& message, const failure& why) {
  caf::response_promise{caf::strong_actor_ptr{self.ctrl()}, message}.deliver(to_caf(why));
}

} // namespace

hosted_actor::hosted_actor(caf::scheduled_actor& self, actor_identity identity)
    : identity_(std::move(identity)), faults_(options_of(self.system()).faults.get()) {
  self.set_exception_handler(
      [](caf::scheduled_actor*, std::exception_ptr& thrown) { return exit_for(thrown); });
  self.set_default_handler(refuse_unknown);
  self.set_error_handler([](caf::scheduled_actor* me, caf::error& why) {
    log::error(path_of(me), "ends by an error nobody handled: {}", from_caf(why).to_string());
    me->quit(std::move(why));
  });
  self.set_down_handler([](caf::scheduled_actor* me, caf::down_msg&) {
    log::warn(path_of(me), "a down message nobody asked for");
  });
}

bool hosted_actor::admit(caf::scheduled_actor& self, caf::mailbox_element& message) {
  if (std::erase(delayed_, &message) != 0)
    return true;
  if (faults_ == nullptr || !faults_->armed()) [[likely]]
    return true;
  const auto& content = message.content();
  if (content.match_elements<caf::exit_msg>() || content.match_elements<caf::down_msg>())
    return true;
  const auto action = faults_->hit("actor:" + identity_.path + ":" + message_name(content));
  return !action || play(self, message, *action);
}

bool hosted_actor::play(caf::scheduled_actor& self, caf::mailbox_element& message,
                        const fault_action& action) {
  if (action.kind == fault_kind::kill)
    throw injected_kill{};
  if (action.kind == fault_kind::throw_up)
    throw std::runtime_error{"thrown by the fault plan"};
  if (message.mid.is_response())
    return true;
  if (action.kind == fault_kind::fail)
    answer_error(self, message, action.why);
  if (action.kind == fault_kind::delay) {
    auto later =
        caf::make_mailbox_element(std::move(message.sender), message.mid, std::move(message.stages),
                                  message.move_content_to_message());
    delayed_.push_back(later.get());
    self.clock().schedule_message(self.clock().now() + action.delay, self.ctrl(), std::move(later));
  }
  return false;
}

void hosted_actor::report_throw(caf::scheduled_actor& self,
                                caf::mailbox_element& message) noexcept {
  try {
    const auto name = message_name(message.content());
    const auto what = describe_current();
    log::error(identity_.path, "{}: {}", name, what);
    if (message.mid.is_request() && message.sender)
      answer_error(self, message,
                   {code_of_current(), fmt::format("{}: {}: {}", identity_.path, name, what), 0});
  } catch (...) { // out of memory: the exception in flight still ends the actor
  }
}

const std::string& path_of(const caf::scheduled_actor* self) {
  static const std::string unknown = "?";
  const auto* ours = dynamic_cast<const hosted_actor*>(self);
  return ours == nullptr ? unknown : ours->identity().path;
}

std::string message_name(const caf::type_erased_tuple& content) {
  if (content.empty())
    return "nothing";
  const auto type = content.type(0);
  return type.second != nullptr ? readable(type.second->name()) : caf::to_string(type);
}

} // namespace troupe::actors
