/* Real mode: writes to the result port for ever. */
.include "guest.inc"
.code16
1:
  outb %al, $port_result
  jmp 1b
