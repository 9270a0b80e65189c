/* A driver of virtio-mmio devices with split rings, as little as the tests need. */
#ifndef TROUPE_BARE_VIRTIO_H
#define TROUPE_BARE_VIRTIO_H

#include "bare.h"

enum {
  TYPE_BLK = 2,
  TYPE_CONSOLE = 3,
  TYPE_RNG = 4,
  TYPE_VSOCK = 19,
  TYPE_FS = 26,
};

enum {
  REG_MAGIC = 0x00,
  REG_VERSION = 0x04,
  REG_DEVICE = 0x08,
  REG_OFFERED = 0x10,
  REG_OFFERED_PAGE = 0x14,
  REG_ACCEPTED = 0x20,
  REG_ACCEPTED_PAGE = 0x24,
  REG_QUEUE = 0x30,
  REG_QUEUE_MAX = 0x34,
  REG_QUEUE_SIZE = 0x38,
  REG_QUEUE_READY = 0x44,
  REG_NOTIFY = 0x50,
  REG_INTERRUPT = 0x60,
  REG_INTERRUPT_ACK = 0x64,
  REG_STATUS = 0x70,
  REG_DESCRIPTORS = 0x80,
  REG_AVAILABLE = 0x90,
  REG_USED = 0xa0,
  REG_CONFIG = 0x100,
};

enum { STATUS_AGREED = 0xb, STATUS_RUNNING = 0xf, STATUS_NEEDS_RESET = 0x40 };

#define RING 16
#define NO_ENTRY 0xffffffffu

struct descriptor {
  u64 at;
  u32 bytes;
  u16 flags;
  u16 next;
};
struct used_entry {
  u32 head;
  u32 written;
};

/* Device and driver share this memory. */
struct queue {
  struct descriptor descriptors[RING];
  struct {
    u16 flags;
    volatile u16 index;
    u16 ring[RING];
    u16 event;
  } available;
  struct {
    u16 flags;
    volatile u16 index;
    struct used_entry ring[RING];
    u16 event;
  } used __attribute__((aligned(4)));
  /* The driver's own. */
  u32 number;
  u16 taken;
  u16 next_descriptor;
} __attribute__((aligned(16)));

struct device {
  u64 at;
  u32 gsi;
};

/* A part of a request. */
struct piece {
  void* at;
  u32 bytes;
  int device_writes;
};

static inline u32 reg(const struct device* of, u32 which) {
  return get32(of->at + which);
}
static inline void set_reg(const struct device* of, u32 which, u32 value) {
  put32(of->at + which, value);
}

/* Looks at the first `windows` windows; 0 when none has such a device. */
int find_device(u32 type, struct device* found);
/* Reset, then up to the agreement on VERSION_1 alone. */
void agree(const struct device* of);
/* Describes an empty ring; whether the device took it. */
int describe_queue(const struct device* of, u32 number, u32 size, const u64 at[3]);
void set_up_queue(const struct device* of, struct queue* it, u32 number);
void run_device(const struct device* of);
void reset_device(const struct device* of);

/* Makes a request available and returns its head; the caller kicks. At most RING pieces are on
   their way at a time. */
u16 add_request(struct queue* to, const struct piece* pieces, u32 count);
void kick(const struct device* of, const struct queue* it);
/* The next request that the device is done with: its head, or NO_ENTRY. */
u32 take_used(struct queue* from, u32* written);
/* The same, polling for long. */
u32 wait_used(struct queue* from, u32* written);

#endif
