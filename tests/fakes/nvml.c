/* A stand-in for NVIDIA's management library: one GPU that says all, one in slices that does not say how busy it is. */
#include <string.h>

typedef struct { unsigned gpu, memory; } Rates;
typedef struct { unsigned long long total, free, used; } Memory;

int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 3 ? "Not Supported" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (void *)(long)(index + 1); return 0; }

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length)
{
    strncpy(uuid, handle == (void *)1 ? "GPU-one" : "GPU-two", length);
    return 0;
}

int nvmlDeviceGetUtilizationRates(void *handle, Rates *rates)
{
    if (handle != (void *)1) return 3;
    rates->gpu = 37;
    rates->memory = 12;
    return 0;
}

int nvmlDeviceGetDecoderUtilization(void *handle, unsigned *percent, unsigned *period)
{
    if (handle != (void *)1) return 3;
    *percent = 92;
    *period = 200000;
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *handle, Memory *memory)
{
    memory->total = 141ull << 30;
    memory->used = 9ull << 30;
    memory->free = memory->total - memory->used;
    return 0;
}
