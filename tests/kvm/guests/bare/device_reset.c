/* Resets a device while it works, again and again, and finds it new each time. */
#include "virtio.h"

enum { OP_READ = 0, OP_WRITE = 1 };

#define BYTES 4096
#define REQUESTS 5 /* of three pieces each */

static struct queue ring;
static struct device disk;
static struct {
  u32 op;
  u32 reserved;
  u64 sector;
} headers[REQUESTS];
static u8 data[REQUESTS][BYTES];
static volatile u8 status[REQUESTS];

static void submit(u32 which, u32 op) {
  headers[which].op = op;
  headers[which].sector = which * BYTES / 512;
  status[which] = 0xff;
  const struct piece pieces[3] = {{&headers[which], sizeof(headers[which]), 0},
                                  {data[which], BYTES, op == OP_READ},
                                  {(void*)&status[which], 1, 1}};
  (void)add_request(&ring, pieces, 3);
}

static void start(void) {
  agree(&disk);
  set_up_queue(&disk, &ring, 0);
  run_device(&disk);
}

u32 guest_main(void) {
  CHECK(find_device(TYPE_BLK, &disk));
  const u64 rounds = parameter("rounds", 10);
  for (u64 round = 0; round < rounds; ++round) {
    start();
    for (u32 i = 0; i < REQUESTS; ++i)
      submit(i, round % 2 ? OP_READ : OP_WRITE);
    kick(&disk, &ring);
    reset_device(&disk);
    const u16 done = ring.used.index;
    CHECK(done <= REQUESTS);
    /* The old driver's memory is its own again. */
    memset(data, 0xa5, sizeof(data));
    for (u32 i = 0; i < 1000; ++i)
      relax();
    for (u32 i = 0; i < sizeof(data); i += 97)
      CHECK(((u8*)data)[i] == 0xa5);
    CHECK(ring.used.index == done);
  }
  start();
  submit(0, OP_WRITE);
  kick(&disk, &ring);
  CHECK(wait_used(&ring, 0) == 0);
  CHECK(status[0] == 0);
  return 0;
}
