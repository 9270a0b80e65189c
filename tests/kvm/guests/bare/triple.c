/* Breaks the processor: an exception without a table to look it up in. */
#include "bare.h"

u32 guest_main(void) {
  const struct {
    u16 limit;
    u64 base;
  } __attribute__((packed)) none = {0, 0};
  __asm__ volatile("lidt %0; ud2" : : "m"(none), "a"(0x1234abcd));
  return __LINE__;
}
