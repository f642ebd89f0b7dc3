#include "../name.h"
int main(void) {
	return parse("Nabc", 4) != 0 || parse("D8/2", 4) != 0;
}
