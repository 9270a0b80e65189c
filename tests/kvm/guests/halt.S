/* Real mode: sleeps for good. */
.code16
1:
  cli
  hlt
  jmp 1b
