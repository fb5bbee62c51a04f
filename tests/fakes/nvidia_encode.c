/* A stand-in for libnvidia-encode: PyNvVideoCodec asks it for its version when it is imported. */
int NvEncodeAPIGetMaxSupportedVersion(unsigned *version) { *version = 13 << 4; return 0; }
int NvEncodeAPICreateInstance(void *list) { return 0; }
