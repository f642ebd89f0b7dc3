# Builds $OUT/harness, or $OUT/fuzz where FUZZ is 1, from the source in $SRC.
set -eu
cd "$SRC/libaudiofile"
name=harness
[ "$FUZZ" = 0 ] || { name=fuzz; DRIVER=; }
echo '#define HAVE_UNISTD_H 1' >config.h
rm -f modules/UT_*.cpp
mkdir -p obj
for c in *.c alac/*.c "$HARNESS/harness.c" $DRIVER; do
	$CC $CFLAGS -w -DNDEBUG -I. -Ialac -c "$c" -o "obj/c-$(basename "$c").o"
done
ls *.cpp alac/*.cpp modules/*.cpp | xargs -P 2 -I {} sh -c \
	"$CXX $CXXFLAGS -w -DNDEBUG -std=gnu++98 -I. -Ialac -c {} -o obj/\$(basename {}).o"
$CXX $CXXFLAGS -static-libstdc++ obj/*.o $LDFLAGS -lm -o "$OUT/$name"
