/* Never comes back. */
#include "bare.h"

u32 guest_main(void) {
  for (;;)
    __asm__ volatile("" : : : "memory");
}
