# Builds $OUT from the patched source in the current directory.
set -eu
$CC $CFLAGS -I. cJSON.c "$HARNESS/harness.c" $ENGINE -lm -o "$OUT"
