# Builds $OUT/harness, or $OUT/fuzz where FUZZ is 1, from the source in $SRC: the library, one thread.
set -eu
cd "$SRC/src/lib/openjp2"
name=harness
[ "$FUZZ" = 0 ] || { name=fuzz; DRIVER=; }
cat >opj_config.h <<'END'
#define OPJ_HAVE_STDINT_H 1
#define OPJ_VERSION_MAJOR 2
#define OPJ_VERSION_MINOR 5
#define OPJ_VERSION_BUILD 0
END
cat >opj_config_private.h <<'END'
#define OPJ_PACKAGE_VERSION "2.5.0"
#define OPJ_HAVE_INTTYPES_H 1
#define OPJ_HAVE_FSEEKO 1
#define OPJ_HAVE_MALLOC_H
#define OPJ_HAVE_POSIX_MEMALIGN
#define _POSIX_C_SOURCE 200112L
END
$CC $CFLAGS -w -DOPJ_STATIC -I. bio.c cio.c dwt.c event.c function_list.c ht_dec.c image.c invert.c j2k.c \
	jp2.c mct.c mqc.c openjpeg.c opj_clock.c opj_malloc.c pi.c sparse_array.c t1.c t2.c tcd.c tgt.c thread.c \
	"$HARNESS/harness.c" $DRIVER $LDFLAGS -lm -o "$OUT/$name"
