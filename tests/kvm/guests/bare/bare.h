/* What every bare guest has: ports, registers, text on COM1, checks that end the machine. */
#ifndef TROUPE_BARE_H
#define TROUPE_BARE_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* As docs/memory_layout.md. */
#define WINDOWS 0xd0000000UL
#define WINDOW_SIZE 0x1000UL
#define COMMAND_LINE ((const char*)0x20000)
#define SERIAL 0x3f8
#define EXIT 0xf4

#define SECONDS_OF_POLLING 2000000u /* of an emulating KVM; far more than anything takes */

static inline void out8(u16 port, u8 value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void out16(u16 port, u16 value) {
  __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void out32(u16 port, u32 value) {
  __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline u8 in8(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
static inline u32 in32(u16 port) {
  u32 value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
static inline u32 get32(u64 at) {
  return *(volatile u32*)at;
}
static inline void put32(u64 at, u32 value) {
  *(volatile u32*)at = value;
}
static inline void relax(void) {
  __asm__ volatile("pause" : : : "memory");
}

/* The guest's part. What it returns is the machine's exit code: 0 is good, else the line of the
   check that failed. */
u32 guest_main(void);

_Noreturn void quit(u32 code);
_Noreturn void failed_at(const char* file, u32 line, const char* what);
#define CHECK(what) ((what) ? (void)0 : failed_at(__FILE__, __LINE__, #what))

void print(const char* text);
void print_hex(u64 value);
size_t length(const char* text);
int same(const void* a, const void* b, size_t bytes);
void* memset(void* at, int value, size_t bytes);
void* memcpy(void* to, const void* from, size_t bytes);

/* The number behind "name=" on the command line. */
u64 parameter(const char* name, u64 otherwise);
/* Marsaglia's xorshift; `seed` is not 0. */
u64 next_random(u64* seed);

/* -- interrupts and processors, see interrupts.c --- */

#define VECTOR_OF_LINE(gsi) (0x40u + (gsi))
extern volatile u32 interrupts[256];
/* Whom to call besides counting; may be empty. */
extern void (*volatile interrupt_hook)(u32 vector);

/* Own table, local controller on, interrupts let in. */
void interrupts_begin(void);
void route_line(u32 gsi);
/* Sleeps until `vector` came more than `seen` times. */
void sleep_until(u32 vector, u32 seen);
/* Of the processor that asks. */
u32 local_id(void);
/* Starts processor `id` at other_main(). */
void start_processor(u32 id);
void other_main(void);

#endif
