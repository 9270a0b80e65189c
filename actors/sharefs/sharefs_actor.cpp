#include "actors/sharefs/sharefs_actor.hpp"

#include "actors/supervision/blocking.hpp"
#include "actors/supervision/reply_guard.hpp"
#include "actors/supervision/timer.hpp"

namespace troupe {
namespace {

using actors::answer;
using actors::reply_guard;
using self_pointer = sharefs_actor::stateful_pointer<sharefs_body>;

/// Requests of the guest that are inside one tree's file system get this long to come back.
constexpr milliseconds request_patience{5000};

/// Takes all of `names` out; the first failure is kept, none skips the rest.
outcome<void> take_out(fuse::session& session, const std::vector<std::string>& names) {
  outcome<void> result;
  for (const auto& name : names) {
    auto taken = session.remove_share(name, request_patience);
    if (!taken && taken.error().code != errc::not_found && result)
      result = within("share " + name, std::move(taken).error());
  }
  return result;
}

/// All or none.
outcome<std::vector<std::string>> put_in(fuse::session& session,
                                         std::vector<prepare::shared_tree>& trees) {
  std::vector<std::string> names;
  for (auto& entry : trees) {
    auto added = session.add_share(entry.name, std::move(entry.tree), entry.policy);
    if (!added) {
      (void)take_out(session, names);
      return within("share " + entry.name, std::move(added).error());
    }
    names.push_back(entry.name);
  }
  return names;
}

answer<void> add(const std::shared_ptr<const sharefs_args>& args, const add_shares& order) {
  if (args->ledger->names.contains(order.owner))
    return {}; // asked again by a container actor that was restarted
  auto names = put_in(*args->ledger->session, *order.trees);
  if (!names)
    return actors::to_caf(names.error());
  args->ledger->names.emplace(order.owner, std::move(*names));
  return {};
}

answer<void> remove(self_pointer self, const std::shared_ptr<const sharefs_args>& args,
                    const remove_shares& order) {
  const auto at = args->ledger->names.find(order.owner);
  if (at == args->ledger->names.end())
    return {};
  const auto names = std::move(at->second);
  args->ledger->names.erase(at);
  const reply_guard<void> reply{self};
  const auto limit = args->pod->values.runtime.effect_timeout;
  actors::run_blocking(self, args->pod->fx, args->pod->job("unshare", limit, actors::now(self)),
                       [session = args->ledger->session, names] {
                         return take_out(*session, names);
                       })
      .then([reply] { reply.answer({}); },
            [reply](const failure& why) { reply.answer(tl::unexpected(why)); });
  return reply;
}

} // namespace

sharefs_actor::behavior_type run_sharefs(self_pointer self, sharefs_args given) {
  const auto args = std::make_shared<const sharefs_args>(std::move(given));
  return {
      [args](const add_shares& order) { return add(args, order); },
      [self, args](const remove_shares& order) { return remove(self, args, order); },
  };
}

} // namespace troupe
