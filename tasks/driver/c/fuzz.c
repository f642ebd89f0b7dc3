/* Makes the folders that libFuzzer is told to write to, before it looks. */
#include <sys/stat.h>

__attribute__((constructor)) static void folders(void) {
	mkdir("/out/candidates", 0777);
	mkdir("/out/corpus", 0777);
}
