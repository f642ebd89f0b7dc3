# Builds $OUT/harness, or $OUT/fuzz where FUZZ is 1, from the source in $SRC.
set -eu
cd "$SRC"
name=harness
[ "$FUZZ" = 0 ] || { name=fuzz; DRIVER=; }
cat >config.h <<'END'
#define HAVE_LOCALTIME_R 1
#define GETTEXT_PACKAGE "libexif-12"
END
echo '#include <stdint.h>' >libexif/_stdint.h
$CC $CFLAGS -w -I. libexif/*.c libexif/*/*.c "$HARNESS/harness.c" $DRIVER $LDFLAGS -lm -o "$OUT/$name"
