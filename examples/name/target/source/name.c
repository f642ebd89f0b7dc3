#include "name.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* copy_name keeps a name of at most seven bytes. */
int copy_name(const char *p, size_t n) {
	char *to = malloc(8);
	memcpy(to, p, n);
	to[n] = 0;
	printf("name %s\n", to);
	free(to);
	return 0;
}


/* divide looks a quotient of two digits up: "8/2". */
int divide(const char *p, size_t n) {
	if (n < 3)
		return -1;
	int *table = malloc(10 * sizeof *table);
	for (int i = 0; i < 10; i++)
		table[i] = i;
	int at = p[2] == '0' ? 10 : (p[0] - '0') % 10;
	printf("%d\n", table[(unsigned)at % 11]);
	free(table);
	return 0;
}

int parse(const char *p, size_t n) {
	if (n > 0 && p[n - 1] == '\n')
		n--;
	if (n < 1)
		return -1;
	switch (p[0]) {
	case 'N':
		return copy_name(p + 1, n - 1);
	case 'M':
		printf("middle ");
		return copy_name(p + 1, n - 1);
	case 'D':
		return divide(p + 1, n - 1);
	}
	return -1;
}
