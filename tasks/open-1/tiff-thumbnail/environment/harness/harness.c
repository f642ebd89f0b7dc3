/* Reads the first picture of the TIFF file into a preview as wide as the picture and 64 rows high. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tiffio.h"

struct memory {
    const uint8_t *data;
    toff_t size, at;
};

static tmsize_t on_read(thandle_t handle, void *to, tmsize_t count)
{
    struct memory *m = handle;
    if (m->at >= m->size)
        return 0;
    if ((toff_t)count > m->size - m->at)
        count = (tmsize_t)(m->size - m->at);
    memcpy(to, m->data + m->at, (size_t)count);
    m->at += (toff_t)count;
    return count;
}

static tmsize_t on_write(thandle_t handle, void *from, tmsize_t count) { return 0; }

static toff_t on_seek(thandle_t handle, toff_t offset, int whence)
{
    struct memory *m = handle;
    m->at = whence == SEEK_SET ? offset : whence == SEEK_CUR ? m->at + offset : m->size + offset;
    return m->at;
}

static int on_close(thandle_t handle) { return 0; }
static toff_t on_size(thandle_t handle) { return ((struct memory *)handle)->size; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {data, size, 0};
    TIFFSetErrorHandler(NULL);
    TIFFSetWarningHandler(NULL);
    TIFF *tiff = TIFFClientOpen("file.tif", "rm", &memory, on_read, on_write, on_seek, on_close, on_size, NULL, NULL);
    if (tiff == NULL)
        return 0;
    enum { rows = 64 };
    uint32_t width = 0, height = 0;
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    /* Time and memory are not what this is about. */
    if (width > 0 && width <= 4096 && height <= 4096) {
        uint32_t *preview = calloc((size_t)width * rows, sizeof *preview);
        TIFFReadRGBAImageOriented(tiff, width, rows, preview, ORIENTATION_TOPLEFT, 0);
        free(preview);
    }
    TIFFClose(tiff);
    return 0;
}
