/* An instruction that no KVM emulates, on a device, where it would have to. */
#include "bare.h"

u32 guest_main(void) {
  u32 value;
  __asm__ volatile("popcntl (%1), %0" : "=r"(value) : "a"(WINDOWS + 0x800000));
  return __LINE__;
}
