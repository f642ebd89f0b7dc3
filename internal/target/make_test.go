package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/gvisor"
	"proofhouse/internal/sandbox/root"
	"proofhouse/internal/sandbox/sandboxtest"
	"proofhouse/tasks"
)

// boxedBuilder builds in real boxes, with roots that all test runs share.
func boxedBuilder(t *testing.T) (*Builder, sandbox.Provider) {
	t.Helper()
	data := filepath.Join(os.TempDir(), fmt.Sprintf("proofhouse-test-%d", os.Getuid()), "target")
	if named := os.Getenv("PROOFHOUSE_DATA"); named != "" {
		data = named
	}
	images := sandbox.Images{Dir: filepath.Join(data, "images")}
	roots := root.Store{Images: images, Fetch: filepath.Join(data, "fetch"), Records: filepath.Join(data, "roots"), Recipes: tasks.Roots()}
	provider, err := gvisor.New(gvisor.Config{State: t.TempDir(), Sentry: sandboxtest.Sentry(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { provider.Close() })
	dir := t.TempDir()
	shareStandardLibrary(t, filepath.Join(data, "targets"), dir)
	t.Cleanup(func() { shareStandardLibrary(t, dir, filepath.Join(data, "targets")) })
	return New(Config{
		Provider: provider, Images: images, Dir: dir, Drivers: tasks.Drivers(),
		Root: func(ctx context.Context, name string) (sandbox.Image, error) {
			return roots.Make(ctx, name, time.Now(), func(root.Progress) {})
		},
	}), provider
}

// A small project in each language that breaks on an input that begins with "!", its
// test, and what mends it.
var locals = map[Language]struct {
	folder fstest.MapFS
	recipe Recipe
	test   []string
	fix    string
	exit   int
}{
	C: {
		fstest.MapFS{
			"h/harness.c":     {Data: []byte("#include <stdint.h>\n#include <stddef.h>\nint first(const uint8_t *, size_t);\nint LLVMFuzzerTestOneInput(const uint8_t *b, size_t n) { first(b, n); return 0; }\n")},
			"s/first.c":       {Data: []byte("#include <stdint.h>\n#include <stddef.h>\nint first(const uint8_t *b, size_t n) {\n\tif (n && b[0] == '!')\n\t\treturn b[n];\n\treturn n ? b[0] : -1;\n}\n")},
			"s/tests/test.sh": {Data: []byte("set -eu\ncat > t.c <<'X'\n#include <stdint.h>\n#include <stddef.h>\nint first(const uint8_t *, size_t);\nint main(void) { return first((const uint8_t *)\"ab\", 2) != 'a'; }\nX\n$CC $CFLAGS t.c first.c -o t\n./t\n")},
		},
		Recipe{Language: C, BuildRoot: "c-build", RunRoot: "c-run", Harness: "h", Sources: []string{"*.c"}, Vulnerable: Source{Tree: "s", Package: "first"}},
		[]string{"sh", "tests/test.sh"},
		"--- a/first.c\n+++ b/first.c\n@@ -2,5 +2,5 @@\n #include <stddef.h>\n int first(const uint8_t *b, size_t n) {\n \tif (n && b[0] == '!')\n-\t\treturn b[n];\n+\t\treturn b[n - 1];\n \treturn n ? b[0] : -1;\n", 77,
	},
	Go: {
		fstest.MapFS{
			"h/harness.go":      {Data: []byte("//go:build ignore\n\npackage main\n\nimport \"example.org/first\"\n\nfunc Harness(b []byte) { first.Of(b) }\n")},
			"s/go.mod":          {Data: []byte("module example.org/first\n\ngo 1.21\n")},
			"s/first.go":        {Data: []byte("package first\n\nfunc Of(b []byte) byte {\n\tif len(b) > 0 && b[0] == '!' {\n\t\treturn b[len(b)]\n\t}\n\treturn 0\n}\n")},
			"s/first_test.go":   {Data: []byte("package first\n\nimport \"testing\"\n\nfunc TestOf(t *testing.T) {\n\tif Of([]byte(\"a\")) != 0 {\n\t\tt.Fatal()\n\t}\n}\n")},
			"s/inner/broken.go": {Data: []byte("package inner\n")},
		},
		Recipe{Language: Go, BuildRoot: "go", RunRoot: "go", Harness: "h", Vulnerable: Source{Tree: "s", Package: "example.org/first"}},
		[]string{"go", "test", "./..."},
		"--- a/first.go\n+++ b/first.go\n@@ -2,5 +2,5 @@\n \n func Of(b []byte) byte {\n \tif len(b) > 0 && b[0] == '!' {\n-\t\treturn b[len(b)]\n+\t\treturn b[0]\n \t}\n", 2,
	},
	JavaScript: {
		fstest.MapFS{
			"h/harness.js":   {Data: []byte("const first = require('first');\nmodule.exports = (b) => { first(b); };\n")},
			"s/package.json": {Data: []byte(`{"name":"first","version":"1.0.0","main":"index.js"}`)},
			"s/index.js":     {Data: []byte("module.exports = (b) => {\n  if (b[0] === 33) {\n    return b.nothing.more;\n  }\n  return 0;\n};\n")},
			"s/test.js":      {Data: []byte("require('assert').equal(require('./index.js')(Buffer.from('a')), 0);\n")},
		},
		Recipe{Language: JavaScript, BuildRoot: "node", RunRoot: "node", Harness: "h", Vulnerable: Source{Tree: "s", Package: "first"}},
		[]string{"node", "test.js"},
		"--- a/index.js\n+++ b/index.js\n@@ -1,5 +1,5 @@\n module.exports = (b) => {\n   if (b[0] === 33) {\n-    return b.nothing.more;\n+    return 1;\n   }\n   return 0;\n", 1,
	},
}

// TestMake builds a folder's own software with and without a patch, in boxes, and runs
// its tests there.
func TestMake(t *testing.T) {
	b, provider := boxedBuilder(t)
	for lang, l := range locals {
		t.Run(string(lang), func(t *testing.T) {
			plain, err := b.Make(t.Context(), l.folder, l.recipe)
			if err != nil {
				t.Fatal(err, errors.Unwrap(errors.Unwrap(err)))
			}
			fixed, err := b.Make(t.Context(), l.folder, l.recipe, []byte(l.fix))
			if err != nil {
				t.Fatal(err, errors.Unwrap(errors.Unwrap(err)))
			}
			t.Log(plain.Took, fixed.Took)
			plain.Env, fixed.Env = append(plain.Env, "PROOFHOUSE_SYMPTOM=crash"), append(fixed.Env, "PROOFHOUSE_SYMPTOM=crash")
			for _, c := range []struct {
				build Build
				input string
				exit  int
			}{{plain, "a", 0}, {plain, "!", l.exit}, {fixed, "a", 0}, {fixed, "!", 0}} {
				if res := runOn(t, provider, c.build, c.input); res.Exit != c.exit {
					t.Errorf("%s on %q: exit %d, want %d: %s", c.build.Side, c.input, res.Exit, c.exit, res.Stderr.Head)
				}
			}
			got, err := b.Test(t.Context(), l.folder, l.recipe, l.test, []byte(l.fix))
			if err != nil || !got.Passed() {
				t.Errorf("the tests: %v %+v", err, got)
			}
			if got, err = b.Test(t.Context(), l.folder, l.recipe, []string{"sh", "-c", "exit 3"}); err != nil || got.Passed() || got.Exit != 3 {
				t.Errorf("a failing test: %v %+v", err, got)
			}
			for name, patch := range map[string]string{
				"fits nowhere":  strings.ReplaceAll(l.fix, "return", "retrun"),
				"leads out":     strings.NewReplacer("a/", "a/../../", "b/", "b/../../").Replace(l.fix),
				"is none":       "please apply this",
				"changes none":  "",
				"is not ending": l.fix[:len(l.fix)-30],
			} {
				if _, err := b.Make(t.Context(), l.folder, l.recipe, []byte(patch)); proofhouse.KindOf(err) != proofhouse.Invalid {
					t.Errorf("a patch that %s: %v", name, err)
				}
			}
		})
	}
}
