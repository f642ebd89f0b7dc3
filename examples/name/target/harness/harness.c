#include "name.h"
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *b, size_t n) {
	parse((const char *)b, n);
	return 0;
}
