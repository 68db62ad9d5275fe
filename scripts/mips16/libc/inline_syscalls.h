/* Other names for the system calls that musl's headers define with instructions that 16-bit code has not. */
#define __syscall0 inline_syscall0
#define __syscall1 inline_syscall1
#define __syscall2 inline_syscall2
#define __syscall3 inline_syscall3
#define __syscall4 inline_syscall4
#define __syscall5 inline_syscall5
#define __syscall6 inline_syscall6
#define __syscall7 inline_syscall7
#include "syscall_arch.h"
#undef __syscall0
#undef __syscall1
#undef __syscall2
#undef __syscall3
#undef __syscall4
#undef __syscall5
#undef __syscall6
#undef __syscall7
