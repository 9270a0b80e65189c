/* Rings doorbells without a request behind them, known ones and others; for ever with times=0. */
#include "virtio.h"

static struct queue ring;
static struct device rng;
static u8 data[64];

u32 guest_main(void) {
  CHECK(find_device(TYPE_RNG, &rng));
  agree(&rng);
  set_up_queue(&rng, &ring, 0);
  run_device(&rng);
  const u64 times = parameter("times", 0);
  print("storm\n");
  for (u64 i = 0; times == 0 || i < times; ++i) {
    set_reg(&rng, REG_NOTIFY, 0);
    if (i % 16 == 0)
      set_reg(&rng, REG_NOTIFY, (u32)i);
  }
  const struct piece one = {data, sizeof(data), 1};
  CHECK(add_request(&ring, &one, 1) == 0);
  kick(&rng, &ring);
  CHECK(wait_used(&ring, 0) == 0);
  return 0;
}
