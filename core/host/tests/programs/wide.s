# A function whose unwind table is large: 150,000 pieces with rules that take turns. FIRST and SECOND
# are distances from the stack pointer to its end, so that two such programs have different tables. It
# really has one distance where it loops, the last.
    .text
    .globl wide
    .type wide, @function
wide:
    .cfi_startproc
    sub $SECOND-8, %rsp
    .rept 150000
    .cfi_def_cfa_offset FIRST
    nop
    .cfi_def_cfa_offset SECOND
    nop
    .endr
1:  mov $10000000, %rcx
2:  dec %rcx
    jnz 2b
    jmp 1b
    .cfi_endproc
    .size wide, .-wide

    .globl main
    .type main, @function
main:
    .cfi_startproc
    push %rbx
    .cfi_def_cfa_offset 16
    call announce
    call wide
    ud2
    .cfi_endproc
    .size main, .-main
    .section .note.GNU-stack,"",@progbits
