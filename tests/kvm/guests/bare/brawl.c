/* Several processors at the same devices at a time, without a thought for each other: reset, set
   up, run, kick, configure. Afterwards each device still works after a reset. */
#include "virtio.h"

#define PROCESSORS 4

static struct queue rings[PROCESSORS][3];
static struct queue last;
static u8 data[64];
static volatile u32 done;

static void one_blow(const struct device* at, struct queue* own, u64* seed) {
  const u64 value = next_random(seed);
  const u32 queue = (u32)(value >> 8 & 3);
  switch (value & 15) {
  case 0:
    set_reg(at, REG_STATUS, 0);
    break;
  case 1:
  case 2:
  case 3:
  case 4:
    set_reg(at, REG_STATUS, (reg(at, REG_STATUS) | 1u << (value >> 4 & 3)) & 0x7f);
    break;
  case 5:
    set_reg(at, REG_ACCEPTED_PAGE, 1);
    set_reg(at, REG_ACCEPTED, 1);
    break;
  case 6:
  case 7:
  case 8: {
    const u64 where[3] = {(u64)own->descriptors, (u64)&own->available, (u64)&own->used};
    (void)describe_queue(at, queue, RING, where);
    break;
  }
  case 9: {
    const struct piece piece = {data, (u32)(value >> 16 & 63), (int)(value >> 22 & 1)};
    (void)add_request(own, &piece, 1);
    break;
  }
  case 10:
    *(volatile u8*)(at->at + REG_CONFIG + (value >> 16 & 63)) = (u8)(value >> 24);
    break;
  case 11:
    set_reg(at, REG_INTERRUPT_ACK, reg(at, REG_INTERRUPT));
    break;
  default:
    set_reg(at, REG_NOTIFY, queue);
  }
}

static void brawl(u32 id) {
  u64 seed = parameter("seed", 1) * PROCESSORS + id + 1;
  const u64 rounds = parameter("rounds", 1);
  const u64 windows = parameter("windows", 1);
  for (u64 i = 0; i < rounds; ++i) {
    const struct device at = {WINDOWS + (next_random(&seed) >> 20) % windows * WINDOW_SIZE, 0};
    one_blow(&at, &rings[id % PROCESSORS][seed >> 30 & 1], &seed);
  }
  __atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
}

void other_main(void) {
  brawl(local_id());
}

u32 guest_main(void) {
  struct device rng;
  const u64 cpus = parameter("cpus", 1);
  for (u32 id = 1; id < cpus; ++id)
    start_processor(id);
  brawl(0);
  while (done < cpus)
    relax();
  CHECK(find_device(TYPE_RNG, &rng));
  agree(&rng);
  set_up_queue(&rng, &last, 0);
  run_device(&rng);
  const struct piece one = {data, sizeof(data), 1};
  CHECK(add_request(&last, &one, 1) == 0);
  kick(&rng, &last);
  CHECK(wait_used(&last, 0) == 0);
  return 0;
}
