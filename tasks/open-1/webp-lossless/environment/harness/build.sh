# Builds $OUT/harness, or $OUT/fuzz where FUZZ is 1, from the source in $SRC: the decoder that the
# module holds in C, without Go, so that the sanitizer and the fuzzer see all of it.
set -eu
cd "$SRC"
name=harness
[ "$FUZZ" = 0 ] || { name=fuzz; DRIVER=; }
library=$(sed -n 's|^#cgo CFLAGS: -I\./\(internal/libwebp-[0-9.]*\)/$|\1|p' capi.go)
cd "$library"
$CC $CFLAGS -w -I. -Isrc src/dec/*.c src/demux/*.c src/dsp/*.c src/utils/*.c "$HARNESS/harness.c" $DRIVER \
	$LDFLAGS -lm -o "$OUT/$name"
