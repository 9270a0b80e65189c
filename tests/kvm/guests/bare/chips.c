/* Rubbish for ever in what the kernel serves: interrupt controllers and timer. */
#include "bare.h"

static void rubbish_ports(u16 first, u16 count, u64 value) {
  for (u16 i = 0; i < count; ++i)
    out8((u16)(first + i), (u8)(value >> 8 * (i & 7)));
}

u32 guest_main(void) {
  u64 seed = parameter("seed", 1);
  print("chips\n");
  for (;;) {
    const u64 value = next_random(&seed);
    put32(0xfec00000UL, (u32)(value & 0x3f));
    put32(0xfec00010UL, (u32)(value >> 32));
    put32(0xfee00000UL + (value >> 8 & 0x3f) * 16, (u32)(value >> 16));
    rubbish_ports(0x20, 2, value);
    rubbish_ports(0xa0, 2, value >> 8);
    rubbish_ports(0x40, 4, value >> 16);
    rubbish_ports(0x4d0, 2, value >> 24);
  }
}
