/* Says more than anybody wants to read: short lines, a line without end, control bytes. */
#include "bare.h"

#define BYTES (64u << 10)

static char text[BYTES];

static void say(u64 times) {
  for (u64 i = 0; i < times; ++i) {
    const char* from = text;
    u64 count = BYTES;
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(SERIAL) : "memory");
  }
}

u32 guest_main(void) {
  for (u32 i = 0; i < BYTES; ++i)
    text[i] = i % 8 == 7 ? '\n' : 'x';
  say(parameter("times", 1));
  memset(text, 'y', BYTES);
  say(parameter("times", 1));
  for (u32 i = 0; i < BYTES; ++i)
    text[i] = (char)i;
  say(parameter("times", 1));
  return 0;
}
