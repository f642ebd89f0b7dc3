/* Opens an audio file held in memory and reads its first track as 16-bit samples. */
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "af_vfs.h"
#include "audiofile.h"

struct memory {
    const uint8_t *data;
    AFfileoffset size, at;
};

/* Files over which the library would go on and on are given up after some calls. */
enum { most_calls = 20000 };
static int calls;
static jmp_buf give_up;

static void count_call(void)
{
    if (++calls > most_calls)
        longjmp(give_up, 1);
}

static ssize_t on_read(AFvirtualfile *file, void *to, size_t count)
{
    struct memory *m = file->closure;
    count_call();
    if (m->at >= m->size)
        return 0;
    size_t left = (size_t)(m->size - m->at);
    if (count > left)
        count = left;
    memcpy(to, m->data + m->at, count);
    m->at += count;
    return (ssize_t)count;
}

static AFfileoffset on_length(AFvirtualfile *file) { return ((struct memory *)file->closure)->size; }
static ssize_t on_write(AFvirtualfile *file, const void *from, size_t count) { return -1; }
static AFfileoffset on_tell(AFvirtualfile *file) { return ((struct memory *)file->closure)->at; }
static void on_destroy(AFvirtualfile *file) { file->closure = NULL; }

static AFfileoffset on_seek(AFvirtualfile *file, AFfileoffset offset, int relative)
{
    struct memory *m = file->closure;
    count_call();
    AFfileoffset to = relative ? m->at + offset : offset;
    if (to < 0)
        return -1;
    m->at = to;
    return to;
}

static void on_error(long code, const char *text) {}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {data, (AFfileoffset)size, 0};
    AFvirtualfile *virtual = af_virtual_file_new();
    virtual->closure = &memory;
    virtual->read = on_read;
    virtual->length = on_length;
    virtual->write = on_write;
    virtual->destroy = on_destroy;
    virtual->seek = on_seek;
    virtual->tell = on_tell;

    calls = 0;
    if (setjmp(give_up))
        return 0;
    afSetErrorHandler(on_error);
    AFfilehandle file = afOpenVirtualFile(virtual, "r", AF_NULL_FILESETUP);
    if (file == AF_NULL_FILEHANDLE)
        return 0;
    int channels = afGetChannels(file, AF_DEFAULT_TRACK);
    if (channels > 0 && channels <= 8) {
        enum { frames = 1024 };
        int16_t *samples = malloc(frames * 2 * sizeof *samples);
        afSetVirtualSampleFormat(file, AF_DEFAULT_TRACK, AF_SAMPFMT_TWOSCOMP, 16);
        afSetVirtualChannels(file, AF_DEFAULT_TRACK, 2);
        for (int i = 0; i < 64; i++)
            if (afReadFrames(file, AF_DEFAULT_TRACK, samples, frames) <= 0)
                break;
        free(samples);
    }
    afCloseFile(file);
    return 0;
}
