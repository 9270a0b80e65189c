#include "bare.h"

void quit(u32 code) {
  for (;;)
    out32(EXIT, code);
}

void failed_at(const char* file, u32 line, const char* what) {
  const char* name = file;
  for (const char* at = file; *at; ++at)
    if (*at == '/')
      name = at + 1;
  print(name);
  print(": ");
  print(what);
  print("\n");
  quit(line);
}

void print(const char* text) {
  for (; *text; ++text)
    out8(SERIAL, (u8)*text);
}

void print_hex(u64 value) {
  char text[17];
  for (int i = 0; i < 16; ++i)
    text[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
  text[16] = 0;
  print(text);
}

size_t length(const char* text) {
  size_t count = 0;
  while (text[count])
    ++count;
  return count;
}

int same(const void* a, const void* b, size_t bytes) {
  const u8* left = a;
  const u8* right = b;
  for (size_t i = 0; i < bytes; ++i)
    if (left[i] != right[i])
      return 0;
  return 1;
}

void* memset(void* at, int value, size_t bytes) {
  void* to = at;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
  return at;
}

void* memcpy(void* to, const void* from, size_t bytes) {
  void* end = to;
  __asm__ volatile("rep movsb" : "+D"(end), "+S"(from), "+c"(bytes) : : "memory");
  return to;
}

u64 parameter(const char* name, u64 otherwise) {
  const size_t size = length(name);
  for (const char* at = COMMAND_LINE; *at; ++at) {
    if ((at != COMMAND_LINE && at[-1] != ' ') || !same(at, name, size) || at[size] != '=')
      continue;
    u64 value = 0;
    for (at += size + 1; *at >= '0' && *at <= '9'; ++at)
      value = value * 10 + (u64)(*at - '0');
    return value;
  }
  return otherwise;
}

u64 next_random(u64* seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed;
}

__attribute__((weak)) void other_main(void) {}
