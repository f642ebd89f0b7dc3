/* Decodes the file as one JPEG 2000 code stream. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "openjpeg.h"

struct memory {
    const uint8_t *data;
    size_t size, at;
};

static OPJ_SIZE_T on_read(void *to, OPJ_SIZE_T count, void *user)
{
    struct memory *m = user;
    if (m->at >= m->size)
        return (OPJ_SIZE_T)-1;
    if (count > m->size - m->at)
        count = m->size - m->at;
    memcpy(to, m->data + m->at, count);
    m->at += count;
    return count;
}

static OPJ_OFF_T on_skip(OPJ_OFF_T count, void *user)
{
    struct memory *m = user;
    if (count < 0 || (size_t)count > m->size - m->at)
        return -1;
    m->at += (size_t)count;
    return count;
}

static OPJ_BOOL on_seek(OPJ_OFF_T to, void *user)
{
    struct memory *m = user;
    if (to < 0 || (size_t)to > m->size)
        return OPJ_FALSE;
    m->at = (size_t)to;
    return OPJ_TRUE;
}

/* The product accepts one profile only: one coding style for the whole picture, and each packet
 * header closed by an end marker. */
static int has_one_style(const uint8_t *data, size_t size)
{
    int found = 0;
    for (size_t i = 0; i + 1 < size; i++)
        found += data[i] == 0xff && data[i + 1] == 0x52;
    return found == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!has_one_style(data, size))
        return 0;
    struct memory memory = {data, size, 0};
    opj_stream_t *stream = opj_stream_create(4096, OPJ_TRUE);
    opj_stream_set_user_data(stream, &memory, NULL);
    opj_stream_set_user_data_length(stream, size);
    opj_stream_set_read_function(stream, on_read);
    opj_stream_set_skip_function(stream, on_skip);
    opj_stream_set_seek_function(stream, on_seek);

    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    opj_image_t *image = NULL;
    if (opj_setup_decoder(codec, &parameters) && opj_read_header(stream, codec, &image)) {
        /* Only the number of packets may make the work large: few pixels, few parts. */
        int small = image->numcomps <= 3 && image->x1 <= 64 && image->y1 <= 64;
        opj_codestream_info_v2_t *info = opj_get_cstr_info(codec);
        int profile = info != NULL && info->tw * info->th == 1 && (info->m_default_tile_info.csty & 0x04);
        if (small && profile && opj_decode(codec, stream, image))
            opj_end_decompress(codec, stream);
        opj_destroy_cstr_info(&info);
    }
    opj_image_destroy(image);
    opj_destroy_codec(codec);
    opj_stream_destroy(stream);
    return 0;
}
