/* Decodes the file as one WebP picture to RGBA. */
#include <stddef.h>
#include <stdint.h>

#include "webp/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int width, height;
    /* Small pictures only: time and memory are not what this is about. */
    if (!WebPGetInfo(data, size, &width, &height) || (long)width * height > 1 << 18)
        return 0;
    uint8_t *pixels = WebPDecodeRGBA(data, size, &width, &height);
    WebPFree(pixels);
    return 0;
}
