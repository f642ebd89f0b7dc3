# Builds $OUT/harness, or $OUT/fuzz where FUZZ is 1, from the source in $SRC: the parser, the
# validator and what they need, without XPath, schemas, network and compression.
set -eu
cd "$SRC"
name=harness
[ "$FUZZ" = 0 ] || { name=fuzz; DRIVER=; }
for f in CTYPE_H ERRNO_H FCNTL_H FLOAT_H LIMITS_H MATH_H STDARG_H STDINT_H STDLIB_H STRING_H SYS_STAT_H \
	SYS_TYPES_H TIME_H UNISTD_H STAT SNPRINTF VSNPRINTF PRINTF SPRINTF FPRINTF VFPRINTF VSPRINTF SSCANF VA_COPY; do
	echo "#define HAVE_$f 1"
done >config.h
echo '#define VERSION "0"' >>config.h
sed -e 's/@VERSION@/2.9.14/; s/@LIBXML_VERSION_NUMBER@/20914/; s/@LIBXML_VERSION_EXTRA@//; s/@MODULE_EXTENSION@/.so/' \
	-e 's/@WITH_\(TREE\|OUTPUT\|PUSH\|VALID\|REGEXPS\|SAX1\)@/1/; s/@WITH_[A-Z0-9_]*@/0/' \
	include/libxml/xmlversion.h.in >include/libxml/xmlversion.h
$CC $CFLAGS -w -I. -Iinclude SAX.c SAX2.c buf.c chvalid.c dict.c encoding.c entities.c error.c globals.c hash.c \
	list.c parser.c parserInternals.c threads.c tree.c uri.c valid.c xmlIO.c xmlmemory.c xmlregexp.c xmlsave.c \
	xmlstring.c xmlunicode.c "$HARNESS/harness.c" $DRIVER $LDFLAGS -lm -o "$OUT/$name"
