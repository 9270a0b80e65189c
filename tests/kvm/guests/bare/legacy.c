/* What of a PC there is: serial port, clock, keyboard controller, and all ones where nothing is. */
#include "bare.h"

#define CLOCK 0x70
#define KEYBOARD 0x64
#define SLEEP_STATUS 0x601
#define PANIC 0x505

static u32 clock_value(u8 which) {
  out8(CLOCK, which);
  const u8 packed = in8(CLOCK + 1);
  return packed / 16u * 10 + packed % 16u;
}

static void serial(void) {
  CHECK((in8(SERIAL + 5) & 0x60) == 0x60);
  for (u32 value = 0; value < 256; value += 85) {
    out8(SERIAL + 7, (u8)value);
    CHECK(in8(SERIAL + 7) == value);
  }
  out8(SERIAL + 3, 0x80); /* divisor latch */
  out8(SERIAL, 0x0c);
  out8(SERIAL + 1, 0);
  CHECK(in8(SERIAL) == 0x0c);
  out8(SERIAL + 3, 0x03);
  CHECK(in8(SERIAL + 5) != 0xff);
}

/* The transmitter's "empty" comes in by the line. */
static void serial_interrupt(void) {
  interrupts_begin();
  route_line(4);
  const u32 seen = interrupts[VECTOR_OF_LINE(4)];
  out8(SERIAL + 4, 0x08); /* OUT2 */
  out8(SERIAL + 1, 0x02);
  sleep_until(VECTOR_OF_LINE(4), seen);
  CHECK((in8(SERIAL + 2) & 0x0f) == 0x02);
  out8(SERIAL + 1, 0);
}

u32 guest_main(void) {
  serial();
  serial_interrupt();
  CHECK(clock_value(0x32) == 20);
  CHECK(clock_value(9) >= 24);
  const u32 month = clock_value(8);
  CHECK(month >= 1 && month <= 12);
  CHECK(clock_value(4) < 24);
  CHECK(clock_value(2) < 60);
  out8(CLOCK, 0x0a);
  CHECK((in8(CLOCK + 1) & 0x80) == 0); /* no update in progress */
  out8(KEYBOARD, 0xaa);
  CHECK((in8(KEYBOARD) & 1) == 1);
  CHECK(in8(0x60) == 0x55);
  CHECK(in8(SLEEP_STATUS) == 0);
  CHECK((in8(PANIC) & 3) == 3);
  CHECK(in8(0x2e8) == 0xff);
  CHECK(in32(0xcf8) == 0xffffffff);
  CHECK(get32(0xc0100000) == 0);
  print("a line of text\nand half a line");
  return 0;
}
