/* A stand-in for libnvcuvid: one picture per packet, geometry and faults as the packet's own text says.
 *
 * A packet may hold "FAKE:w=640;h=360;bd=8;y=17;n=1;err=0;fail=0;" anywhere: size and depth of the sequence from here
 * on, the luma value of its picture, how many pictures it gives, the decode status (8 error, 9 concealed), the CUresult
 * of the parser. The parser gives each picture one packet late, as NVDEC's does, and the last one at the end of stream.
 * Structures are declared with the fields that are touched, at the offsets of NVIDIA's Video Codec SDK 12/13.
 *
 * FAKE_SESSIONS=N refuses decoders beyond N; FAKE_LOG=<file> gets a line per call that matters.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int codec;
    unsigned max_surfaces, clock_rate, error_threshold, max_display_delay, flags;
    unsigned reserved1[4];
    void *user;
    int (*on_sequence)(void *, void *);
    int (*on_decode)(void *, void *);
    int (*on_display)(void *, void *);
    char rest[64];
} ParserParams; /* CUVIDPARSERPARAMS, 136 bytes */

typedef struct {
    unsigned long flags, size;
    const unsigned char *payload;
    int64_t timestamp;
} SourcePacket; /* CUVIDSOURCEDATAPACKET */

typedef struct {
    int codec;
    unsigned rate_num, rate_den;
    unsigned char progressive, luma_minus8, chroma_minus8, min_surfaces;
    unsigned coded_width, coded_height;
    int left, top, right, bottom;
    int chroma_format;
    unsigned bitrate;
    int aspect_x, aspect_y;
    unsigned char signal[4];
    unsigned header_size;
    char extended[1024];
} VideoFormat; /* CUVIDEOFORMATEX, 1088 bytes */

typedef struct {
    int width_mbs, height_mbs, index;
    char rest[4280 - 12];
} PictureParams; /* CUVIDPICPARAMS */

typedef struct {
    int index, progressive, top_first, repeat;
    int64_t timestamp;
} DisplayInfo; /* CUVIDPARSERDISPINFO */

typedef struct {
    unsigned long width, height, surfaces;
    int codec, chroma;
    unsigned long flags, depth_minus8, intra_only, max_width, max_height, reserved1;
    short left, top, right, bottom;
    int output_format, deinterlace;
    unsigned long target_width, target_height, output_surfaces;
    char rest[56];
} CreateInfo; /* CUVIDDECODECREATEINFO, 176 bytes */

typedef struct {
    unsigned width, height, target_width, target_height, surfaces, reserved1[12];
    short left, top, right, bottom;
    char rest[52];
} ReconfigureInfo; /* CUVIDRECONFIGUREDECODERINFO, 128 bytes */

typedef struct {
    int codec, chroma;
    unsigned depth_minus8, reserved1[3];
    unsigned char supported, engines;
    unsigned short formats;
    unsigned max_width, max_height, max_mbs;
    unsigned short min_width, min_height;
    unsigned char histogram, counter_bits;
    unsigned short bins;
    unsigned reserved3[10];
} Caps; /* CUVIDDECODECAPS, 88 bytes */

_Static_assert(sizeof(ParserParams) == 136, "CUVIDPARSERPARAMS");
_Static_assert(sizeof(VideoFormat) == 1088, "CUVIDEOFORMATEX");
_Static_assert(sizeof(PictureParams) == 4280, "CUVIDPICPARAMS");
_Static_assert(sizeof(CreateInfo) == 176, "CUVIDDECODECREATEINFO");
_Static_assert(sizeof(ReconfigureInfo) == 128, "CUVIDRECONFIGUREDECODERINFO");
_Static_assert(sizeof(Caps) == 88, "CUVIDDECODECAPS");

#define SLOTS 64

typedef struct {
    ParserParams p;
    int width, height, depth, sequence, pending;
    unsigned pictures;
    struct { int index, luma, status; int64_t timestamp; } held;
} Parser;

typedef struct {
    CreateInfo ci;
    unsigned char *surface;
    size_t pitch;
    unsigned long width, height;
    int luma[SLOTS], status[SLOTS];
} Decoder;

static int live;
/* Parser and decoder meet in the calling thread only, as in the wrapper. */
static __thread int luma_now, status_now;

static void say(const char *format, ...)
{
    const char *path = getenv("FAKE_LOG");
    if (!path) return;
    FILE *f = fopen(path, "a");
    va_list list;
    va_start(list, format);
    vfprintf(f, format, list);
    va_end(list);
    fclose(f);
}

static int number(const char *name, int otherwise)
{
    const char *s = getenv(name);
    return s ? atoi(s) : otherwise;
}

static int directive(const SourcePacket *k, const char *name, int otherwise)
{
    char key[16];
    int n = snprintf(key, sizeof key, "%s=", name);
    const char *at = memmem(k->payload, k->size, "FAKE:", 5);
    if (!at) return otherwise;
    at = memmem(at, (const char *)k->payload + k->size - at, key, n);
    return at ? atoi(at + n) : otherwise;
}

int cuvidGetDecoderCaps(Caps *c)
{
    /* As Hopper: H.264 8 bit, HEVC 8 to 12 bit, VP9; no AV1. */
    int depth = c->depth_minus8 + 8;
    c->supported = c->chroma == 1 && ((c->codec == 4 && depth == 8) || (c->codec == 8 && depth <= 12) || c->codec == 10);
    c->engines = 7;
    c->formats = 3;
    c->max_width = c->max_height = c->codec == 8 ? 8192 : 4096;
    c->max_mbs = c->max_width * c->max_height / 256;
    c->min_width = 48;
    c->min_height = 16;
    return 0;
}

int cuvidCreateVideoParser(void **out, ParserParams *params)
{
    Parser *p = calloc(1, sizeof *p);
    p->p = *params;
    p->width = 320;
    p->height = 180;
    p->depth = 8;
    *out = p;
    return 0;
}

int cuvidDestroyVideoParser(void *p)
{
    free(p);
    return 0;
}

static void show(Parser *p)
{
    DisplayInfo info = {p->held.index, 1, 0, 0, p->held.timestamp};
    status_now = p->held.status;
    luma_now = p->held.luma;
    p->pending = 0;
    p->p.on_display(p->p.user, &info);
}

int cuvidParseVideoData(void *parser, SourcePacket *k)
{
    Parser *p = parser;
    if (!k->size) {
        say("flush\n");
        if (p->pending) show(p);
        p->sequence = 0;
        return 0;
    }
    if (directive(k, "fail", 0)) return directive(k, "fail", 0);
    int w = directive(k, "w", p->width), h = directive(k, "h", p->height), bd = directive(k, "bd", p->depth);
    if (!p->sequence || w != p->width || h != p->height || bd != p->depth) {
        if (p->pending) show(p);
        p->width = w;
        p->height = h;
        p->depth = bd;
        VideoFormat f;
        memset(&f, 0, sizeof f);
        f.codec = p->p.codec;
        f.rate_num = 25;
        f.rate_den = 1;
        f.progressive = number("FAKE_PROGRESSIVE", 1);
        f.luma_minus8 = f.chroma_minus8 = bd - 8;
        f.min_surfaces = 8;
        f.coded_width = (w + 15) / 16 * 16;
        f.coded_height = (h + 15) / 16 * 16;
        f.right = w;
        f.bottom = h;
        f.chroma_format = 1;
        p->sequence = 1;
        if (!p->p.on_sequence(p->p.user, &f)) return 0;
    }
    int n = directive(k, "n", 1);
    for (int i = 0; i < n; i++) {
        PictureParams picture;
        memset(&picture, 0, sizeof picture);
        picture.index = p->pictures++ % 8;
        picture.width_mbs = (w + 15) / 16;
        picture.height_mbs = (h + 15) / 16;
        p->p.on_decode(p->p.user, &picture);
        if (p->pending) show(p);
        p->held.index = picture.index;
        p->held.luma = directive(k, "y", 0) + i;
        p->held.status = directive(k, "err", 2);
        p->held.timestamp = k->timestamp;
        p->pending = 1;
    }
    return 0;
}

int cuvidCreateDecoder(void **out, CreateInfo *ci)
{
    if (live >= number("FAKE_SESSIONS", 1000)) {
        say("refuse\n");
        return 2;
    }
    live++;
    say("create %lux%lu of %lux%lu area %d,%d,%d,%d max %lux%lu deinterlace %d format %d\n", ci->target_width,
        ci->target_height, ci->width, ci->height, ci->left, ci->top, ci->right, ci->bottom, ci->max_width,
        ci->max_height, ci->deinterlace, ci->output_format);
    Decoder *d = calloc(1, sizeof *d);
    d->ci = *ci;
    d->width = ci->target_width;
    d->height = ci->target_height;
    unsigned long wide = ci->max_width > ci->width ? ci->max_width : ci->width;
    unsigned long high = ci->max_height > ci->height ? ci->max_height : ci->height;
    d->pitch = (wide * (ci->output_format & 1 ? 2 : 1) + 511) / 512 * 512;
    d->surface = malloc(d->pitch * (high + 64) * 2);
    *out = d;
    return 0;
}

int cuvidReconfigureDecoder(void *decoder, ReconfigureInfo *r)
{
    Decoder *d = decoder;
    say("reconfigure %ux%u of %ux%u area %d,%d,%d,%d\n", r->target_width, r->target_height, r->width, r->height, r->left,
        r->top, r->right, r->bottom);
    d->width = r->target_width;
    d->height = r->target_height;
    return 0;
}

int cuvidDestroyDecoder(void *decoder)
{
    say("destroy\n");
    live--;
    free(((Decoder *)decoder)->surface);
    free(decoder);
    return 0;
}

int cuvidDecodePicture(void *decoder, void *picture) { return 0; }

int cuvidGetDecodeStatus(void *decoder, int index, int *status)
{
    *status = status_now;
    return 0;
}

int cuvidMapVideoFrame64(void *decoder, int index, uint64_t *address, unsigned *pitch, void *params)
{
    Decoder *d = decoder;
    memset(d->surface, luma_now, d->pitch * d->height);
    memset(d->surface + d->pitch * d->height, 128, d->pitch * d->height / 2);
    *address = (uint64_t)d->surface;
    *pitch = d->pitch;
    return 0;
}

int cuvidUnmapVideoFrame64(void *decoder, uint64_t address) { return 0; }
int cuvidCtxLockCreate(void **lock, void *context) { *lock = (void *)1; return 0; }
int cuvidCtxLockDestroy(void *lock) { return 0; }
int cuvidCtxLock(void *lock, unsigned flags) { return 0; }
int cuvidCtxUnlock(void *lock, unsigned flags) { return 0; }
int cuvidCreateVideoSource(void) { return 1; }
int cuvidCreateVideoSourceW(void) { return 1; }
int cuvidDestroyVideoSource(void) { return 1; }
int cuvidSetVideoSourceState(void) { return 1; }
int cuvidGetVideoSourceState(void) { return 1; }
int cuvidGetSourceVideoFormat(void) { return 1; }
int cuvidGetSourceAudioFormat(void) { return 1; }
