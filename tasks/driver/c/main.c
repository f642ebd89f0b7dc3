/* Runs a task's harness on one input: harness INPUT. The input lies in a heap
 * block of exactly its size, so that a sanitizer sees each byte read beyond it.
 * That the harness came back is told to the host, which knows the nonce. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C"
#endif
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
	if (argc != 2) {
		fputs("usage: harness INPUT\n", stderr);
		return 64;
	}
	FILE *f = fopen(argv[1], "rb");
	if (!f) {
		perror("harness");
		return 64;
	}
	size_t size = 0, room = 1 << 16, n;
	uint8_t *all = (uint8_t *)malloc(room);
	while (all && (n = fread(all + size, 1, room - size, f)) > 0) {
		size += n;
		if (size == room)
			all = (uint8_t *)realloc(all, room *= 2);
	}
	fclose(f);
	uint8_t *data = (uint8_t *)malloc(size ? size : 1);
	if (!all || !data)
		return 64;
	for (size_t i = 0; i < size; i++)
		data[i] = all[i];
	free(all);
	const char *fd = getenv("PROOFHOUSE_REPORT"), *nonce = getenv("PROOFHOUSE_NONCE");
	char line[128];
	int channel = fd ? atoi(fd) : -1;
	snprintf(line, sizeof line, "%.64s returned\n", nonce ? nonce : "");
	unsetenv("PROOFHOUSE_REPORT");
	unsetenv("PROOFHOUSE_NONCE");
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	if (channel > 2 && nonce && write(channel, line, strlen(line)) < 0)
		return 0;
	return 0;
}
