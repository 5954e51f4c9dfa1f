// The first instructions of the system's user side, and the memory of its first thread.
//
// The kernel enters with the address of BootInfo in x0 and no stack.

    .section .text.start, "ax"
    .global _start
_start:
    adrp    x1, root_stack_top
    add     sp, x1, :lo12:root_stack_top
    adrp    x1, root_thread
    add     x1, x1, :lo12:root_thread
    msr     tpidr_el0, x1
    mov     x29, xzr
    mov     x30, xzr
    b       root_main

    .section .bss.root, "aw", %nobits
    .balign 4096
    .space  4096                        // untouched: running off the stack's end must not reach data
    .space  65536
    .global root_stack_top
root_stack_top:
    .global root_thread
root_thread:                            // a ThreadBlock; zeros are valid
    .space  4096
    .global root_log_ring
root_log_ring:                          // a log page; zeros are an empty ring
    .space  4096
