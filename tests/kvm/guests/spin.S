/* Real mode: counts at `data` for ever. */
.include "guest.inc"
.code16
  xorw %ax, %ax
  movw %ax, %ds
1:
  incl data
  jmp 1b
