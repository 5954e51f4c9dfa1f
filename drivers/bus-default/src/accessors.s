// The default accessors. Each is a leaf without a frame.
//
// Each load or store of a device has a fix-up record (address of the instruction, where to go on). When the access
// faults and a fix-up policy is in force, the linker server sets the thread's bus status and resumes at the fix-up,
// which makes the value all ones, as a bus does on a master abort. Accesses to the caller's own memory have no record.
//
// Arguments: x0 tag, x1 handle, x2 offset, x3 value or data, x4 count. Bits 16 to 19 of a tag are the stride shift.

.macro FIXUP pc, to
    .pushsection .fixup, "a"
    .balign 8
    .quad \pc, \to
    .popsection
.endm

.macro BEGIN name
    .section .text.\name, "ax"
    .balign 4
    .global \name
    .type \name, %function
\name:
    .cfi_startproc
.endm

.macro END name
    .cfi_endproc
    .size \name, . - \name
.endm

// x1 becomes the address of the register; x0 the stride shift.
.macro ADDRESS
    ubfx x0, x0, #16, #4
    lsl x2, x2, x0
    add x1, x1, x2
.endm

// bytes: width. size: suffix of load and store. r: register class. ones: all ones in this width.
.macro ACCESSORS bytes, size, r, ones

BEGIN _bus_space_read_\bytes
    ubfx x0, x0, #16, #4
    lsl x2, x2, x0
1:  ldr\size \r\()0, [x1, x2]
    ret
2:  mov \r\()0, #\ones
    ret
    FIXUP 1b, 2b
END _bus_space_read_\bytes

BEGIN _bus_space_write_\bytes
    ubfx x0, x0, #16, #4
    lsl x2, x2, x0
1:  str\size \r\()3, [x1, x2]
2:  ret
    FIXUP 1b, 2b
END _bus_space_write_\bytes

// The barrier makes a store that is answered by an error fault here and not later.
BEGIN _bus_space_poke_\bytes
    ADDRESS
1:  str\size \r\()3, [x1]
    dsb sy
    mov w0, #0
    ret
2:  mov w0, #14
    ret
    FIXUP 1b, 2b
END _bus_space_poke_\bytes

BEGIN _bus_space_peek_\bytes
    ADDRESS
1:  ldr\size \r\()5, [x1]
    mov w0, #0
2:  cbz x3, 3f
    str\size \r\()5, [x3]
3:  ret
4:  mov \r\()5, #\ones
    mov w0, #14
    b 2b
    FIXUP 1b, 4b
END _bus_space_peek_\bytes

BEGIN _bus_space_read_multi_\bytes
    ADDRESS
    cbz x4, 3f
1:  ldr\size \r\()5, [x1]
2:  str\size \r\()5, [x3], #\bytes
    subs x4, x4, #1
    b.ne 1b
3:  ret
4:  mov \r\()5, #\ones
    b 2b
    FIXUP 1b, 4b
END _bus_space_read_multi_\bytes

BEGIN _bus_space_write_multi_\bytes
    ADDRESS
    cbz x4, 4f
1:  ldr\size \r\()5, [x3], #\bytes
2:  str\size \r\()5, [x1]
3:  subs x4, x4, #1
    b.ne 1b
4:  ret
    FIXUP 2b, 3b
END _bus_space_write_multi_\bytes

BEGIN _bus_space_read_region_\bytes
    ADDRESS
    mov x6, #\bytes
    lsl x6, x6, x0
    cbz x4, 3f
1:  ldr\size \r\()5, [x1]
2:  str\size \r\()5, [x3], #\bytes
    add x1, x1, x6
    subs x4, x4, #1
    b.ne 1b
3:  ret
4:  mov \r\()5, #\ones
    b 2b
    FIXUP 1b, 4b
END _bus_space_read_region_\bytes

BEGIN _bus_space_write_region_\bytes
    ADDRESS
    mov x6, #\bytes
    lsl x6, x6, x0
    cbz x4, 4f
1:  ldr\size \r\()5, [x3], #\bytes
2:  str\size \r\()5, [x1]
3:  add x1, x1, x6
    subs x4, x4, #1
    b.ne 1b
4:  ret
    FIXUP 2b, 3b
END _bus_space_write_region_\bytes

.endm

ACCESSORS 1, b, w, 0xff
ACCESSORS 2, h, w, 0xffff
ACCESSORS 4, , w, -1
ACCESSORS 8, , x, -1

// One barrier that orders everything is right for every combination of flags.
BEGIN _bus_space_barrier
    dmb sy
    ret
END _bus_space_barrier
