/* Flat 32-bit: every width of port and memory access there and back, and string instructions. */
.include "guest.inc"
.code32
  movw $port_input, %dx
  inb %dx, %al
  outb %al, $port_result
  inw %dx, %ax
  outw %ax, $port_result
  inl %dx, %eax
  outl %eax, $port_result
  movl device, %eax
  addl $1, %eax
  movl %eax, device + 0x10
  movw device + 2, %ax
  movw %ax, device + 0x14
  movb device + 1, %al
  movb %al, device + 0x18
  cld
  movl $data, %edi
  movl $5, %ecx
  rep insw
  movw $port_result, %dx
  movl $data, %esi
  movl $5, %ecx
  rep outsw
  outb %al, $port_done
1:
  jmp 1b
