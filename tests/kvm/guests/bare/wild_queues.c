/* Rings and buffers where no memory is: told by the status, mended by a reset. */
#include "virtio.h"

static struct queue ring;
static struct device rng;
static u8 data[64];

static void must_be_refused(const u64 at[3], u32 size) {
  agree(&rng);
  CHECK(!describe_queue(&rng, 0, size, at));
  CHECK((reg(&rng, REG_STATUS) & STATUS_NEEDS_RESET) != 0);
}

static void wild_rings(void) {
  static const u64 places[] = {WINDOWS,
                               0xfee00000UL,
                               0xfec00000UL,
                               1UL << 40,
                               0xfffffffffffff000UL,
                               0xbffffff0UL,
                               0x8000000UL,
                               0xffffffffffffffffUL & ~15UL};
  const u64 good[3] = {(u64)ring.descriptors, (u64)&ring.available, (u64)&ring.used};
  for (u32 i = 0; i < sizeof(places) / sizeof(places[0]); ++i)
    for (u32 part = 0; part < 3; ++part) {
      u64 at[3] = {good[0], good[1], good[2]};
      at[part] = places[i];
      must_be_refused(at, RING);
    }
  const u64 odd[3] = {good[0] + 4, good[1], good[2]};
  must_be_refused(odd, RING);
  must_be_refused(good, 0);
  must_be_refused(good, 7);
  must_be_refused(good, 0x8000);
  must_be_refused(good, 0x10010);
}

/* The device may answer without a byte or want a reset, but never goes on as if nothing was. */
static void wild_buffer(u64 at, u32 bytes) {
  agree(&rng);
  set_up_queue(&rng, &ring, 0);
  run_device(&rng);
  const struct piece one = {(void*)at, bytes, 1};
  (void)add_request(&ring, &one, 1);
  kick(&rng, &ring);
  u32 written = 0;
  for (u32 i = 0; i < SECONDS_OF_POLLING; ++i) {
    if (take_used(&ring, &written) != NO_ENTRY) {
      CHECK(written == 0);
      return;
    }
    if (reg(&rng, REG_STATUS) & STATUS_NEEDS_RESET)
      return;
  }
  CHECK(!"the device noticed");
}

/* A chain that bites its own tail. */
static void endless_chain(void) {
  agree(&rng);
  set_up_queue(&rng, &ring, 0);
  run_device(&rng);
  ring.descriptors[0] = (struct descriptor){(u64)data, 8, 3, 0};
  ring.available.index = 1;
  kick(&rng, &ring);
  for (u32 i = 0; !(reg(&rng, REG_STATUS) & STATUS_NEEDS_RESET); ++i)
    CHECK(i < SECONDS_OF_POLLING);
}

u32 guest_main(void) {
  CHECK(find_device(TYPE_RNG, &rng));
  wild_rings();
  wild_buffer(WINDOWS, 64);
  wild_buffer(0xfee00000UL, 64);
  wild_buffer(1UL << 40, 64);
  wild_buffer(0xfffffffffffffff0UL, 64);
  wild_buffer((u64)data, 0xffffffff);
  endless_chain();
  agree(&rng);
  set_up_queue(&rng, &ring, 0);
  run_device(&rng);
  const struct piece one = {data, sizeof(data), 1};
  CHECK(add_request(&ring, &one, 1) == 0);
  kick(&rng, &ring);
  CHECK(wait_used(&ring, 0) == 0);
  return 0;
}
