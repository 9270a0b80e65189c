/* Entropy: two answers that are neither alike nor empty, and one in parts. */
#include "virtio.h"

static struct queue ring;
static struct device rng;
static u8 first[64];
static u8 second[64];
static const u8 nothing[64];

u32 guest_main(void) {
  CHECK(find_device(TYPE_RNG, &rng));
  agree(&rng);
  set_up_queue(&rng, &ring, 0);
  run_device(&rng);
  u32 written = 0;
  const struct piece one = {first, sizeof(first), 1};
  CHECK(add_request(&ring, &one, 1) == 0);
  kick(&rng, &ring);
  CHECK(wait_used(&ring, &written) == 0);
  CHECK(written == sizeof(first));
  const struct piece parts[2] = {{second, 8, 1}, {second + 8, sizeof(second) - 8, 1}};
  CHECK(add_request(&ring, parts, 2) == 1);
  kick(&rng, &ring);
  CHECK(wait_used(&ring, &written) == 1);
  CHECK(written == sizeof(second));
  CHECK(!same(first, nothing, sizeof(first)));
  CHECK(!same(second, nothing, sizeof(second)));
  CHECK(!same(second + 8, nothing, sizeof(second) - 8));
  CHECK(!same(first, second, sizeof(first)));
  CHECK((reg(&rng, REG_INTERRUPT) & 1) == 1);
  set_reg(&rng, REG_INTERRUPT_ACK, 1);
  CHECK(reg(&rng, REG_INTERRUPT) == 0);
  return 0;
}
