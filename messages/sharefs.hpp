#pragma once

#include "actors/container/prepare/prepare.hpp"
#include "actors/supervision/protocol.hpp"
#include "actors/supervision/ref.hpp"
#include "messages/vocabulary/request_context.hpp"

#include <memory>
#include <vector>

namespace troupe {

/// Shows host trees to the guest, all or none. already_exists, resource_exhausted.
struct add_shares {
  request_context context;
  container_id owner;
  /// Boxed: descriptors cannot be copied, and the first who takes them owns them.
  std::shared_ptr<std::vector<prepare::shared_tree>> trees;
};

/// Hides all trees of one container. When it is answered the host can unmount what was below them.
/// A container without any is a success. deadline_exceeded: a request hangs in the host's file
/// system; the tree is hidden all the same.
struct remove_shares {
  request_context context;
  container_id owner;
};

using sharefs_actor =
    actors::protocol<actors::request<add_shares, void>, actors::request<remove_shares, void>>;
using sharefs_ref = actors::ref<sharefs_actor>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::add_shares)
TROUPE_LOCAL_MESSAGE(troupe::remove_shares)
