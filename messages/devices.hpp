#pragma once

#include "actors/supervision/protocol.hpp"
#include "actors/supervision/ref.hpp"
#include "messages/vocabulary/request_context.hpp"

#include <string>

namespace troupe {

/// Makes the device ready for the machine that will be started: its socket listens, or it waits for
/// a machine of this process. Repeating is harmless.
struct attach_device {
  request_context context;
};

/// Ends the device and its socket. One that was never attached is a success.
struct detach_device {
  request_context context;
};

/// The device's worker stopped: its logic threw, or the guest lied to it.
struct device_failed {
  failure why;
};

/// Control of one virtio device. Bytes and descriptors of the guest stay with its worker.
using device_actor =
    actors::protocol<actors::request<attach_device, void>, actors::request<detach_device, void>,
                     actors::notice<device_failed>>;
using device_ref = actors::ref<device_actor>;

/// All devices of one machine, in order.
struct attach_devices {
  request_context context;
};
struct detach_devices {
  request_context context;
};
using device_manager_actor =
    actors::protocol<actors::request<attach_devices, void>, actors::request<detach_devices, void>>;
using device_manager_ref = actors::ref<device_manager_actor>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::attach_device)
TROUPE_LOCAL_MESSAGE(troupe::detach_device)
TROUPE_LOCAL_MESSAGE(troupe::device_failed)
TROUPE_LOCAL_MESSAGE(troupe::attach_devices)
TROUPE_LOCAL_MESSAGE(troupe::detach_devices)
