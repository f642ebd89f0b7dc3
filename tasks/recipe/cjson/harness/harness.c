/* Parses a JSON text of known length, prints the tree both ways and copies it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "cJSON.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *end = NULL;
    cJSON *tree = cJSON_ParseWithLengthOpts((const char *)data, size, &end, 0);
    if (tree == NULL)
        return 0;
    free(cJSON_Print(tree));
    free(cJSON_PrintUnformatted(tree));
    cJSON_Delete(cJSON_Duplicate(tree, 1));
    cJSON_Delete(tree);
    return 0;
}
