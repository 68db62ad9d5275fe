/* Atomic operations and counts of zeros, for musl's sources in 16-bit code: functions of arch.c. */
#define a_cas a_cas
int a_cas(volatile int *, int, int);
#define a_barrier a_barrier
void a_barrier(void);
#define a_ctz_32 a_ctz_32
int a_ctz_32(uint32_t);
#define a_clz_32 a_clz_32
int a_clz_32(uint32_t);
