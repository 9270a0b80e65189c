/* Real mode: line 5 through the PIC; each interrupt writes its number to the result port. */
.include "guest.inc"
.set vector, 0x20 + 5
.code16
  cli
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %ss
  movw $0x8000, %sp
  movw $handler, vector * 4
  movw %ax, vector * 4 + 2
  movb $0x11, %al          /* both PICs: initialise, vectors, cascade, 8086 mode, masks */
  outb %al, $0x20
  outb %al, $0xa0
  movb $0x20, %al
  outb %al, $0x21
  movb $0x28, %al
  outb %al, $0xa1
  movb $4, %al
  outb %al, $0x21
  movb $2, %al
  outb %al, $0xa1
  movb $1, %al
  outb %al, $0x21
  outb %al, $0xa1
  movb $0xdf, %al
  outb %al, $0x21
  movb $0xff, %al
  outb %al, $0xa1
  xorw %bx, %bx
  outb %al, $port_done     /* ready: from here on asleep but for interrupts */
1:
  sti
  hlt
  jmp 1b
handler:
  incw %bx
  movw %bx, %ax
  outw %ax, $port_result
  movb $0x20, %al
  outb %al, $0x20
  iretw
