# Builds $OUT/harness, or $OUT/fuzz where FUZZ is 1, from the source in $SRC.
set -eu
cd "$SRC"
name=harness
[ "$FUZZ" = 0 ] || { name=fuzz; DRIVER=; }
mkdir -p include/yajl
cp src/api/*.h include/yajl/
sed -e 's/${YAJL_MAJOR}/2/' -e 's/${YAJL_MINOR}/1/' -e 's/${YAJL_MICRO}/0/' \
	src/api/yajl_version.h.cmake >include/yajl/yajl_version.h
$CC $CFLAGS -Iinclude -Isrc src/*.c "$HARNESS/harness.c" $DRIVER $LDFLAGS -lm -o "$OUT/$name"
