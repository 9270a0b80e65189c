#include "bare.h"

#define LOCAL 0xfee00000UL
#define LOCAL_ID 0x20
#define LOCAL_EOI 0xb0
#define LOCAL_SPURIOUS 0xf0
#define LOCAL_COMMAND 0x300
#define LOCAL_TARGET 0x310
#define IOAPIC 0xfec00000UL
#define FIRST_PIC_MASK 0x21
#define SECOND_PIC_MASK 0xa1

#define EXCEPTIONS 32
#define OTHERS_PAGE 0x70000UL /* RAM that nothing of the boot is in */
#define COMMAND_INIT 0x4500
#define COMMAND_START 0x4600

volatile u32 interrupts[256];
void (*volatile interrupt_hook)(u32 vector);

extern u8 interrupt_entries[];
extern u8 other_start[];
extern u8 other_end[];

struct gate {
  u16 low;
  u16 selector;
  u16 kind;
  u16 middle;
  u32 high;
  u32 reserved;
};
static struct gate gates[256];

struct table_pointer {
  u16 limit;
  u64 base;
} __attribute__((packed));

void on_interrupt(u64 vector, u64 where) {
  if (vector < EXCEPTIONS) {
    print("exception ");
    print_hex(vector);
    print(" at or after ");
    print_hex(where);
    print("\n");
    quit(0xe000 + (u32)vector);
  }
  ++interrupts[vector];
  put32(LOCAL + LOCAL_EOI, 0);
  if (interrupt_hook)
    interrupt_hook((u32)vector);
}

void interrupts_begin(void) {
  for (u32 i = 0; i < 256; ++i) {
    const u64 entry = (u64)interrupt_entries + 16UL * i;
    gates[i] = (struct gate){(u16)entry, 8, 0x8e00, (u16)(entry >> 16), (u32)(entry >> 32), 0};
  }
  const struct table_pointer table = {sizeof(gates) - 1, (u64)gates};
  __asm__ volatile("lidt %0" : : "m"(table));
  /* Else the old controllers tell of every line as well. */
  out8(FIRST_PIC_MASK, 0xff);
  out8(SECOND_PIC_MASK, 0xff);
  put32(LOCAL + LOCAL_SPURIOUS, 0x1ff);
  __asm__ volatile("sti" : : : "memory");
}

void route_line(u32 gsi) {
  put32(IOAPIC, 0x11 + 2 * gsi);
  put32(IOAPIC + 0x10, local_id() << 24);
  put32(IOAPIC, 0x10 + 2 * gsi);
  put32(IOAPIC + 0x10, VECTOR_OF_LINE(gsi)); /* edge, high, fixed, physical, unmasked */
}

void sleep_until(u32 vector, u32 seen) {
  for (;;) {
    __asm__ volatile("cli" : : : "memory");
    if (interrupts[vector] > seen)
      break;
    __asm__ volatile("sti; hlt" : : : "memory");
  }
  __asm__ volatile("sti" : : : "memory");
}

u32 local_id(void) {
  return get32(LOCAL + LOCAL_ID) >> 24;
}

void start_processor(u32 id) {
  memcpy((void*)OTHERS_PAGE, other_start, (size_t)(other_end - other_start));
  put32(LOCAL + LOCAL_SPURIOUS, 0x1ff);
  put32(LOCAL + LOCAL_TARGET, id << 24);
  put32(LOCAL + LOCAL_COMMAND, COMMAND_INIT);
  put32(LOCAL + LOCAL_TARGET, id << 24);
  put32(LOCAL + LOCAL_COMMAND, COMMAND_START | (u32)(OTHERS_PAGE >> 12));
}
