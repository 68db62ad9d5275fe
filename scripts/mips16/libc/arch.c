/* What 16-bit code cannot do, as functions of 32-bit code: around what musl's own headers define. */
#include <stdint.h>
#include "inline_syscalls.h"
#define __get_tp inline_get_tp
#include "pthread_arch.h"
#undef __get_tp

uintptr_t __get_tp(void) { return inline_get_tp(); }

int a_cas(volatile int *at, int old, int new) {
    __atomic_compare_exchange_n(at, &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return old;
}

void a_barrier(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

int a_ctz_32(uint32_t bits) { return __builtin_ctz(bits); }
int a_clz_32(uint32_t bits) { return __builtin_clz(bits); }

long __syscall0(long n) { return inline_syscall0(n); }
long __syscall1(long n, long a) { return inline_syscall1(n, a); }
long __syscall2(long n, long a, long b) { return inline_syscall2(n, a, b); }
long __syscall3(long n, long a, long b, long c) { return inline_syscall3(n, a, b, c); }
long __syscall4(long n, long a, long b, long c, long d) { return inline_syscall4(n, a, b, c, d); }
long __syscall5(long n, long a, long b, long c, long d, long e) { return inline_syscall5(n, a, b, c, d, e); }
long __syscall6(long n, long a, long b, long c, long d, long e, long f) {
    return inline_syscall6(n, a, b, c, d, e, f);
}
long __syscall7(long n, long a, long b, long c, long d, long e, long f, long g) {
    return inline_syscall7(n, a, b, c, d, e, f, g);
}
