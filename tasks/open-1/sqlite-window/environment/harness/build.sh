# Builds $OUT/harness, or $OUT/fuzz where FUZZ is 1, from the source in $SRC. One file of 230,000
# lines: with optimisation it takes minutes.
set -eu
cd "$SRC"
name=harness
[ "$FUZZ" = 0 ] || { name=fuzz; DRIVER=; }
mkdir -p amalgamation
tar --no-same-owner -xzf deps/sqlite-autoconf-*.tar.gz -C amalgamation --strip-components=1
$CC $CFLAGS -O0 -w -Iamalgamation -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION \
	-DSQLITE_DEFAULT_MEMSTATUS=1 amalgamation/sqlite3.c "$HARNESS/harness.c" $DRIVER $LDFLAGS -lm \
	-o "$OUT/$name"
