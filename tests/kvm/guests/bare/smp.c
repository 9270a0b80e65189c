/* Starts all other processors, each of which counts; then one of them ends the machine. */
#include "bare.h"

#define ROUNDS 1000

static volatile u32 here[16];
static u32 counter;
static volatile u32 ready;

static void count(void) {
  for (u32 i = 0; i < ROUNDS; ++i)
    __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
}

void other_main(void) {
  const u32 id = local_id();
  CHECK(id < 16);
  CHECK(!here[id]);
  here[id] = 1;
  count();
  __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
  if (id != 1)
    return;
  while (ready < parameter("cpus", 0))
    relax();
  CHECK(counter == parameter("cpus", 0) * ROUNDS);
  print("all counted\n");
  quit(0);
}

u32 guest_main(void) {
  CHECK(local_id() == 0);
  for (u32 id = 1; id < parameter("cpus", 0); ++id)
    start_processor(id);
  count();
  __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
  for (;;)
    __asm__ volatile("cli; hlt");
}
