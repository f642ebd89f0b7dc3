/* Answers one question about an EXIF block: the file's first byte is the index
 * of the maker's note that is asked for, the rest is the block. */
#include <stddef.h>
#include <stdint.h>

#include <libexif/exif-data.h>
#include <libexif/exif-mnote-data.h>

static void show(ExifContent *content, void *unused)
{
    char text[256];
    for (unsigned i = 0; i < content->count; i++)
        exif_entry_get_value(content->entries[i], text, sizeof text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    unsigned wanted = data[0];
    ExifData *block = exif_data_new_from_data(data + 1, (unsigned)(size - 1));
    if (block == NULL)
        return 0;
    exif_data_foreach_content(block, show, NULL);
    ExifMnoteData *notes = exif_data_get_mnote_data(block);
    if (notes != NULL) {
        char text[256];
        /* All three give NULL where there is no note of that index. */
        exif_mnote_data_get_name(notes, wanted);
        exif_mnote_data_get_title(notes, wanted);
        exif_mnote_data_get_value(notes, wanted, text, sizeof text);
    }
    exif_data_unref(block);
    return 0;
}
