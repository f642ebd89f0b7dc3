/* Parses a JSON text piece by piece and writes it out again without blanks. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

static int on_null(void *g) { return yajl_gen_null(g) == yajl_gen_status_ok; }
static int on_bool(void *g, int b) { return yajl_gen_bool(g, b) == yajl_gen_status_ok; }
static int on_number(void *g, const char *s, size_t n) { return yajl_gen_number(g, s, n) == yajl_gen_status_ok; }
static int on_string(void *g, const unsigned char *s, size_t n) { return yajl_gen_string(g, s, n) == yajl_gen_status_ok; }
static int on_start_map(void *g) { return yajl_gen_map_open(g) == yajl_gen_status_ok; }
static int on_end_map(void *g) { return yajl_gen_map_close(g) == yajl_gen_status_ok; }
static int on_start_array(void *g) { return yajl_gen_array_open(g) == yajl_gen_status_ok; }
static int on_end_array(void *g) { return yajl_gen_array_close(g) == yajl_gen_status_ok; }

static const yajl_callbacks callbacks = {
    on_null,      on_bool,   NULL,       NULL,           on_number,    on_string,
    on_start_map, on_string, on_end_map, on_start_array, on_end_array,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yajl_gen gen = yajl_gen_alloc(NULL);
    yajl_handle parser = yajl_alloc(&callbacks, NULL, gen);
    yajl_config(parser, yajl_allow_comments, 1);
    yajl_config(gen, yajl_gen_validate_utf8, 0);

    /* Two pieces, as if they came from a network. */
    size_t first = size / 2;
    yajl_status status = yajl_parse(parser, data, first);
    if (status == yajl_status_ok)
        status = yajl_parse(parser, data + first, size - first);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(parser);
    if (status == yajl_status_ok) {
        const unsigned char *text;
        size_t length;
        yajl_gen_get_buf(gen, &text, &length);
    }
    yajl_free(parser);
    yajl_gen_free(gen);
    return 0;
}
