/* A stand-in for libcuda: "device" memory is host memory, streams run at once. Declares what it needs itself. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    size_t src_x, src_y;
    int src_type;
    const void *src_host;
    uint64_t src_device;
    void *src_array;
    size_t src_pitch, dst_x, dst_y;
    int dst_type;
    void *dst_host;
    uint64_t dst_device;
    void *dst_array;
    size_t dst_pitch, width, height;
} Copy2D;

/* FAKE_FAIL=<function>:<CUresult> makes one function fail. */
static int fails(const char *name)
{
    const char *wanted = getenv("FAKE_FAIL");
    size_t n = strlen(name);
    return wanted && !strncmp(wanted, name, n) && wanted[n] == ':' ? atoi(wanted + n + 1) : 0;
}

static long next_handle(void)
{
    static long n = 0x1000;
    return __sync_add_and_fetch(&n, 16);
}

static __thread void *current;

int cuInit(unsigned flags) { return fails("cuInit"); }
int cuDriverGetVersion(int *v) { *v = 13000; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
/* FAKE_DEVICES=<number> of GPUs; the second is on bus 18, and so on. */
int cuDeviceGetCount(int *n)
{
    const char *wanted = getenv("FAKE_DEVICES");
    *n = wanted ? atoi(wanted) : 1;
    return fails("cuDeviceGetCount");
}
int cuDeviceGetPCIBusId(char *s, int n, int d) { snprintf(s, n, "0000:%d:00.0", 17 + d); return 0; }
int cuDeviceGetName(char *s, int n, int d) { snprintf(s, n, "Fake GPU"); return 0; }
static unsigned primary_flags;
static int primary_active;
int cuDevicePrimaryCtxSetFlags_v2(int d, unsigned flags) {
    if (primary_active) return 708;  /* CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE */
    primary_flags = flags;
    return fails("cuDevicePrimaryCtxSetFlags_v2");
}
int cuDevicePrimaryCtxRetain(void **c, int d) {
    primary_active = 1;
    *c = (void *)0xC0DE;
    return fails("cuDevicePrimaryCtxRetain");
}
int cuDevicePrimaryCtxGetState(int d, unsigned *flags, int *active) {
    *flags = primary_flags;
    *active = primary_active;
    return 0;
}
int cuDevicePrimaryCtxRelease_v2(int d) { return 0; }
int cuCtxCreate_v2(void **c, unsigned flags, int d) { *c = (void *)0xBEEF; return 0; }
int cuCtxDestroy_v2(void *c) { return 0; }
int cuCtxGetDevice(int *d) { *d = 0; return 0; }
int cuCtxSetCurrent(void *c) { current = c; return 0; }
int cuCtxPushCurrent_v2(void *c) { current = c; return 0; }
int cuCtxPopCurrent_v2(void **c) { if (c) *c = current; current = 0; return 0; }
int cuEventCreate(void **e, unsigned flags) { *e = (void *)next_handle(); return 0; }
int cuEventDestroy_v2(void *e) { return 0; }
int cuEventRecord(void *e, void *s) { return 0; }
int cuEventSynchronize(void *e) { return fails("cuEventSynchronize"); }
int cuGetErrorName(int e, const char **s) { *s = "CUDA_ERROR_FAKE"; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "fake"; return 0; }
int cuMemAlloc_v2(uint64_t *p, size_t n) { *p = (uint64_t)calloc(1, n); return fails("cuMemAlloc_v2"); }
int cuMemAllocAsync(uint64_t *p, size_t n, void *s) { *p = (uint64_t)calloc(1, n); return 0; }
int cuMemAllocPitch_v2(uint64_t *p, size_t *pitch, size_t w, size_t h, unsigned e)
{
    *pitch = (w + 511) / 512 * 512;
    *p = (uint64_t)calloc(1, *pitch * h);
    return 0;
}
int cuMemFree_v2(uint64_t p) { free((void *)p); return 0; }
int cuMemFreeAsync(uint64_t p, void *s) { free((void *)p); return 0; }
static int copy(const Copy2D *m)
{
    const char *s = m->src_type == 1 ? m->src_host : (const char *)m->src_device;
    char *d = m->dst_type == 1 ? m->dst_host : (char *)m->dst_device;
    for (size_t y = 0; y < m->height; y++) memcpy(d + y * m->dst_pitch, s + y * m->src_pitch, m->width);
    return 0;
}
int cuMemcpy2DAsync_v2(const Copy2D *m, void *s) { return copy(m); }
int cuMemcpy2D_v2(const Copy2D *m) { return copy(m); }
int cuMemcpyDtoDAsync_v2(uint64_t d, uint64_t s, size_t n, void *st) { memcpy((void *)d, (void *)s, n); return 0; }
int cuMemcpyDtoHAsync_v2(void *d, uint64_t s, size_t n, void *st) { memcpy(d, (void *)s, n); return 0; }
int cuMemcpyDtoH_v2(void *d, uint64_t s, size_t n) { memcpy(d, (void *)s, n); return 0; }
int cuMemcpyHtoD_v2(uint64_t d, void *s, size_t n) { memcpy((void *)d, s, n); return 0; }
int cuPointerGetAttribute(void *out, int attribute, uint64_t p) { *(int *)out = attribute == 2 ? 2 : 0; return 0; }
int cuStreamCreate(void **s, unsigned flags) { *s = (void *)next_handle(); return 0; }
int cuStreamDestroy_v2(void *s) { return 0; }
int cuStreamGetCtx(void *s, void **c) { *c = (void *)0xC0DE; return 0; }
int cuStreamSynchronize(void *s) { return 0; }
int cuStreamWaitEvent(void *s, void *e, unsigned flags) { return 0; }
