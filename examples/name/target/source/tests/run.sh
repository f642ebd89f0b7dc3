set -eu
cd "$(dirname "$0")"
for t in *.c; do
	$CC $CFLAGS "$t" ../name.c -o "${t%.c}.out"
	"./${t%.c}.out"
done
