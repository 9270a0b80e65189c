/* Flat 32-bit: an instruction that no KVM emulates, on a device, where it would have to. */
.include "guest.inc"
.code32
  nop
  popcntl device, %eax
  nop
  .rept 32
  nop
  .endr
