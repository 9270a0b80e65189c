/* Flat 32-bit on the first processor: starts all others at 0x8000 and waits until as many came as
   the test wrote to `data + 4`. They begin in real mode, count themselves at `data` and sleep. */
.include "guest.inc"
.set icr, 0xfee00300
.set others_init, 0xc4500
.set others_start, 0xc4608
.code32
  movl $start, %esi
  movl $0x8000, %edi
  movl $end - start, %ecx
  cld
  rep movsb
  movl $0x1ff, 0xfee000f0  /* local APIC on */
  movl $others_init, icr
  movl $others_start, icr
1:
  movl data, %eax
  cmpl data + 4, %eax
  jne 1b
  outb %al, $port_result
  outb %al, $port_done
2:
  jmp 2b
.code16
start:
  xorw %ax, %ax
  movw %ax, %ds
  lock incl data
3:
  cli
  hlt
  jmp 3b
end:
