/* Says that it panicked, as a kernel does, and then reboots. */
#include "bare.h"

u32 guest_main(void) {
  print("Kernel panic - not syncing: nothing to do\n");
  out8(0x505, 1);
  out8(0x64, 0xfe);
  return __LINE__;
}
