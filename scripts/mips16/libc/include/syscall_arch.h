/* System calls, for musl's sources in 16-bit code: functions of arch.c. */
#ifndef INLINE_SYSCALLS
#define INLINE_SYSCALLS
#include "../inline_syscalls.h"

long __syscall0(long);
long __syscall1(long, long);
long __syscall2(long, long, long);
long __syscall3(long, long, long, long);
long __syscall4(long, long, long, long, long);
long __syscall5(long, long, long, long, long, long);
long __syscall6(long, long, long, long, long, long, long);
long __syscall7(long, long, long, long, long, long, long, long);
#else
#include_next "syscall_arch.h"
#endif
