/* Where every bare guest begins, where its other processors do, and where its interrupts come in. */
.set page_tables, 0x9000  /* the boot's: 4 GiB mapped onto themselves */
.set code_selector, 8
.set data_selector, 16

.code64
.globl begin
begin:
  leaq first_stack_end(%rip), %rsp
  call guest_main
  movl %eax, %edi
  call quit

/* One entry a vector: its number, then the common part. Exceptions with an error code have one
   word more, and nobody returns from exceptions. */
.globl interrupt_entries
.balign 16
interrupt_entries:
.set vector, 0
.rept 256
  .balign 16
  pushq $vector
  jmp interrupt_common
  .set vector, vector + 1
.endr
interrupt_common:
  .irp register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
  pushq %\register
  .endr
  movq 72(%rsp), %rdi
  movq 80(%rsp), %rsi
  cld
  call on_interrupt
  .irp register, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
  popq %\register
  .endr
  addq $8, %rsp
  iretq

/* Copied to a page below 1 MiB and started there in real mode. */
.code16
.globl other_start, other_end
other_start:
  cli
  movw %cs, %ax
  movw %ax, %ds
  lgdtl other_table - other_start
  movl $0x20, %eax            /* PAE */
  movl %eax, %cr4
  movl $page_tables, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx      /* EFER: long mode */
  rdmsr
  orl $0x100, %eax
  wrmsr
  movl $0x80000011, %eax      /* paging, extension type, protection */
  movl %eax, %cr0
  ljmpl $code_selector, $other_long
other_table:
  .word 4 * 8 - 1
  .long table
other_end:

.code64
other_long:
  movw $data_selector, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $1, %eax
  lock xaddl %eax, others_stacks(%rip)
  incl %eax
  shll $12, %eax
  leaq other_stacks(%rip), %rsp
  addq %rax, %rsp
  call other_main
1:
  cli
  hlt
  jmp 1b

.data
.balign 8
table:
  .quad 0
  .quad 0x00af9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0
others_stacks:
  .long 0

.bss
.balign 16
first_stack:
  .skip 0x8000
first_stack_end:
other_stacks:
  .skip 16 * 0x1000
