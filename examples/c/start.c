/*
 * What a C library does before `main` and after it, for Linux: enough for freestanding.c. On a machine without a system,
 * this is where the reset handler and the serial port would be.
 */
#include <stddef.h>

int run(void);
void write_text(const char *text, size_t length);

#if defined(__x86_64__)
enum { WRITE = 1, EXIT = 60 };

static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { WRITE = 64, EXIT = 93 };

static long call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
#elif defined(__riscv)
enum { WRITE = 64, EXIT = 93 };

static long call(long number, long a, long b, long c) {
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
}
#endif

void write_text(const char *text, size_t length) {
    call(WRITE, 1, (long)text, (long)length);
}

/* The stack is aligned to 16 bytes when a program starts; a function expects that of its caller's, before the call. */
__attribute__((used, noreturn)) static void start(void) {
    call(EXIT, run(), 0, 0);
    __builtin_unreachable();
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n call start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n bl start\n");
#elif defined(__riscv)
__asm__(".globl _start\n_start:\n .option push\n .option norelax\n la gp, __global_pointer$\n .option pop\n call start\n");
#endif
