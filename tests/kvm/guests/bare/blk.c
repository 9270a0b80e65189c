/* Disk: write, flush, read back, its name, and requests that must fail. By interrupt. */
#include "virtio.h"

enum { OP_READ = 0, OP_WRITE = 1, OP_FLUSH = 4, OP_GET_ID = 8, OP_NONE = 77 };

#define BYTES 4096
#define SECTOR 512

static struct queue ring;
static struct device disk;
static struct {
  u32 op;
  u32 reserved;
  u64 sector;
} header;
static u8 data[BYTES];
static volatile u8 status;

static void acknowledge(u32 vector) {
  if (vector == VECTOR_OF_LINE(disk.gsi))
    set_reg(&disk, REG_INTERRUPT_ACK, reg(&disk, REG_INTERRUPT));
}

static u8 request(u32 op, u64 sector, u32 bytes) {
  const u32 seen = interrupts[VECTOR_OF_LINE(disk.gsi)];
  struct piece pieces[3] = {{&header, sizeof(header), 0}};
  u32 count = 1;
  if (bytes > 0)
    pieces[count++] = (struct piece){data, bytes, op != OP_WRITE};
  pieces[count++] = (struct piece){(void*)&status, 1, 1};
  header.op = op;
  header.sector = sector;
  status = 0xff;
  const u16 head = add_request(&ring, pieces, count);
  kick(&disk, &ring);
  sleep_until(VECTOR_OF_LINE(disk.gsi), seen);
  CHECK(take_used(&ring, 0) == head);
  return status;
}

u32 guest_main(void) {
  CHECK(find_device(TYPE_BLK, &disk));
  interrupts_begin();
  interrupt_hook = acknowledge;
  route_line(disk.gsi);
  agree(&disk);
  set_up_queue(&disk, &ring, 0);
  run_device(&disk);
  const u64 sectors = get32(disk.at + REG_CONFIG);
  CHECK(sectors == parameter("sectors", 0));

  for (u32 i = 0; i < BYTES; ++i)
    data[i] = (u8)(i * 7 + i / 256);
  CHECK(request(OP_WRITE, 3, BYTES) == 0);
  CHECK(request(OP_FLUSH, 0, 0) == 0);
  memset(data, 0, BYTES);
  CHECK(request(OP_READ, 3, BYTES) == 0);
  for (u32 i = 0; i < BYTES; ++i)
    CHECK(data[i] == (u8)(i * 7 + i / 256));
  CHECK(request(OP_READ, 4, SECTOR) == 0);
  CHECK(data[0] == (u8)(512 * 7 + 2));
  CHECK(request(OP_GET_ID, 0, 20) == 0);
  CHECK(same(data, "bare-disk", 10));

  CHECK(request(OP_READ, sectors, SECTOR) == 1);
  CHECK(request(OP_WRITE, sectors - 1, 2 * SECTOR) == 1);
  CHECK(request(OP_READ, ~0UL, SECTOR) == 1);
  CHECK(request(OP_NONE, 0, SECTOR) == 2);
  CHECK(request(OP_READ, sectors - 1, SECTOR) == 0);
  print("disk good\n");
  return 0;
}
