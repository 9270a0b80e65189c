/* Writes rubbish of every width to every register of every window and to every port. Unless "raw",
   spares the values that end a machine in order, and so has to get to its end. */
#include "bare.h"

static u64 seed;

static void rubbish_register(u64 at) {
  const u64 value = next_random(&seed);
  switch (value >> 60 & 3) {
  case 0:
    *(volatile u8*)(at + (value >> 50 & 3)) = (u8)value;
    break;
  case 1:
    *(volatile u16*)(at + (value >> 50 & 2)) = (u16)value;
    break;
  case 2:
    *(volatile u64*)at = value;
    break;
  default:
    put32(at, (u32)value);
  }
  put32(at, (u32)(value >> (value >> 40 & 31)));
  (void)get32(at);
}

static int ends_in_order(u32 port) {
  return (port >= 0x60 && port <= 0x64) || port == 0x600 || port == 0x505;
}

static void rubbish_port(u32 port, int raw) {
  const u64 value = next_random(&seed);
  if (port + 3 >= EXIT && port <= EXIT + 3)
    return;
  if (!raw && ends_in_order(port)) {
    out8((u16)port, 0x80);
    return;
  }
  const u32 width = (u32)(value >> 60 & 3);
  if (width == 0 || ends_in_order(port + 1) || ends_in_order(port + 3))
    out8((u16)port, (u8)value);
  else if (width == 1)
    out16((u16)port, (u16)value);
  else
    out32((u16)port, (u32)value);
}

u32 guest_main(void) {
  seed = parameter("seed", 1);
  const u64 end = WINDOWS + parameter("windows", 1) * WINDOW_SIZE;
  for (u64 at = WINDOWS; at < end; at += 4)
    rubbish_register(at);
  print("registers done\n");
  for (u32 port = 0; port < 0x10000; ++port)
    rubbish_port(port, parameter("raw", 0) != 0);
  return 0;
}
