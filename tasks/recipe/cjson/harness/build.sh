# Builds $OUT/harness, or $OUT/fuzz where FUZZ is 1, from the source in $SRC.
set -eu
cd "$SRC"
name=harness
[ "$FUZZ" = 0 ] || { name=fuzz; DRIVER=; }
$CC $CFLAGS -I. cJSON.c "$HARNESS/harness.c" $DRIVER $LDFLAGS -lm -o "$OUT/$name"
