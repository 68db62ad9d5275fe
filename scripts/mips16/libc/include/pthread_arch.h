/* The thread pointer, for musl's sources in 16-bit code: a function of arch.c. */
#define __get_tp inline_get_tp
#include_next "pthread_arch.h"
#undef __get_tp
uintptr_t __get_tp(void);
