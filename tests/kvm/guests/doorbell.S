/* Flat 32-bit: rings an address with two values and a port, then reports. */
.include "guest.inc"
.code32
  movl $0, device + 0x50
  movl $1, device + 0x50
  movl $1, device + 0x50
  movl $7, %eax
  outl %eax, $0x50
  outb %al, $port_done
1:
  jmp 1b
