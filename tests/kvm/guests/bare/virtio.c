#include "virtio.h"

#define FIRST_LINE 5
#define LINES 18

int find_device(u32 type, struct device* found) {
  const u64 windows = parameter("windows", 1);
  for (u64 i = 0; i < windows; ++i) {
    const struct device it = {WINDOWS + i * WINDOW_SIZE, FIRST_LINE + (u32)(i % LINES)};
    if (reg(&it, REG_MAGIC) != 0x74726976 || reg(&it, REG_DEVICE) != type)
      continue;
    CHECK(reg(&it, REG_VERSION) == 2);
    *found = it;
    return 1;
  }
  return 0;
}

void reset_device(const struct device* of) {
  set_reg(of, REG_STATUS, 0);
  for (u32 i = 0; reg(of, REG_STATUS) != 0; ++i)
    CHECK(i < SECONDS_OF_POLLING);
}

void agree(const struct device* of) {
  reset_device(of);
  set_reg(of, REG_STATUS, 1);
  set_reg(of, REG_STATUS, 3);
  set_reg(of, REG_OFFERED_PAGE, 1);
  CHECK((reg(of, REG_OFFERED) & 1) == 1);
  set_reg(of, REG_ACCEPTED_PAGE, 1);
  set_reg(of, REG_ACCEPTED, 1);
  set_reg(of, REG_ACCEPTED_PAGE, 0);
  set_reg(of, REG_ACCEPTED, 0);
  set_reg(of, REG_STATUS, STATUS_AGREED);
  CHECK(reg(of, REG_STATUS) == STATUS_AGREED);
}

int describe_queue(const struct device* of, u32 number, u32 size, const u64 at[3]) {
  static const u32 places[3] = {REG_DESCRIPTORS, REG_AVAILABLE, REG_USED};
  set_reg(of, REG_QUEUE, number);
  set_reg(of, REG_QUEUE_SIZE, size);
  for (u32 i = 0; i < 3; ++i) {
    set_reg(of, places[i], (u32)at[i]);
    set_reg(of, places[i] + 4, (u32)(at[i] >> 32));
  }
  set_reg(of, REG_QUEUE_READY, 1);
  return reg(of, REG_QUEUE_READY) == 1;
}

void set_up_queue(const struct device* of, struct queue* it, u32 number) {
  memset(it, 0, sizeof(*it));
  it->number = number;
  set_reg(of, REG_QUEUE, number);
  CHECK(reg(of, REG_QUEUE_MAX) >= RING);
  const u64 at[3] = {(u64)it->descriptors, (u64)&it->available, (u64)&it->used};
  CHECK(describe_queue(of, number, RING, at));
}

void run_device(const struct device* of) {
  set_reg(of, REG_STATUS, STATUS_RUNNING);
  CHECK(reg(of, REG_STATUS) == STATUS_RUNNING);
}

u16 add_request(struct queue* to, const struct piece* pieces, u32 count) {
  const u16 head = to->next_descriptor;
  for (u32 i = 0; i < count; ++i) {
    const u16 next = (u16)((to->next_descriptor + 1) % RING);
    struct descriptor* it = &to->descriptors[to->next_descriptor];
    it->at = (u64)pieces[i].at;
    it->bytes = pieces[i].bytes;
    it->flags = (u16)((i + 1 < count ? 1 : 0) | (pieces[i].device_writes ? 2 : 0));
    it->next = next;
    to->next_descriptor = next;
  }
  to->available.ring[to->available.index % RING] = head;
  __asm__ volatile("mfence" : : : "memory");
  to->available.index = (u16)(to->available.index + 1);
  __asm__ volatile("mfence" : : : "memory");
  return head;
}

void kick(const struct device* of, const struct queue* it) {
  set_reg(of, REG_NOTIFY, it->number);
}

u32 take_used(struct queue* from, u32* written) {
  if (from->used.index == from->taken)
    return NO_ENTRY;
  __asm__ volatile("lfence" : : : "memory");
  const struct used_entry it = from->used.ring[from->taken % RING];
  from->taken = (u16)(from->taken + 1);
  if (written)
    *written = it.written;
  return it.head;
}

u32 wait_used(struct queue* from, u32* written) {
  for (u32 i = 0; i < SECONDS_OF_POLLING; ++i) {
    const u32 head = take_used(from, written);
    if (head != NO_ENTRY)
      return head;
    relax();
  }
  CHECK(!"the device answers");
  return NO_ENTRY;
}
