/* Flat 32-bit: numbers its writes to a device, and checks that reads answer the number written
   before. Reports a read that was lost or done twice. The test knows where the write is. */
.include "guest.inc"
.code32
  xorl %ebx, %ebx
1:
  incl %ebx
  .org 0x10, 0x90
  movl %ebx, device
  movl device + 4, %eax
  cmpl %eax, %ebx
  je 1b
  outl %eax, $port_result
  outb %al, $port_done
2:
  jmp 2b
