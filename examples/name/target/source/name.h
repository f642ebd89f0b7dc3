#include <stddef.h>
int parse(const char *p, size_t n);
