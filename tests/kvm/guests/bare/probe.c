/* Windows: what is in each, and that a window without a device is no device. */
#include "virtio.h"

static void tell(const struct device* it) {
  print("window ");
  print_hex(it->at);
  print(" device ");
  print_hex(reg(it, REG_DEVICE));
  print("\n");
}

u32 guest_main(void) {
  const u64 windows = parameter("windows", 0);
  const u64 devices = parameter("devices", 0);
  u64 found = 0;
  for (u64 i = 0; i < windows; ++i) {
    const struct device it = {WINDOWS + i * WINDOW_SIZE, 0};
    if (reg(&it, REG_MAGIC) == 0) {
      CHECK(reg(&it, REG_DEVICE) == 0);
      continue;
    }
    CHECK(reg(&it, REG_MAGIC) == 0x74726976);
    CHECK(reg(&it, REG_VERSION) == 2);
    CHECK(reg(&it, REG_STATUS) == 0);
    CHECK(reg(&it, REG_QUEUE_READY) == 0);
    tell(&it);
    ++found;
  }
  CHECK(found == devices);
  /* Every device comes up beside the others, with all its queues. */
  static struct queue rings[8][3];
  u32 at = 0;
  for (u64 i = 0; i < windows; ++i) {
    const struct device it = {WINDOWS + i * WINDOW_SIZE, 0};
    if (reg(&it, REG_MAGIC) == 0)
      continue;
    CHECK(at < 8);
    agree(&it);
    u32 queue = 0;
    for (; queue < 3; ++queue) {
      set_reg(&it, REG_QUEUE, queue);
      if (reg(&it, REG_QUEUE_MAX) == 0)
        break;
      set_up_queue(&it, &rings[at][queue], queue);
    }
    CHECK(queue > 0);
    run_device(&it);
    ++at;
  }
  return 0;
}
