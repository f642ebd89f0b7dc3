package target

import (
	"context"
	"fmt"
	"path"
	"strings"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Options of the sanitizers. Reports are symbolised later, once per crash,
// since that costs more than the run; the oracle adds log_path.
const (
	asanOptions     = "ASAN_OPTIONS=detect_leaks=0:symbolize=0:exitcode=77:abort_on_error=0:allocator_may_return_null=1"
	ubsanOptions    = "UBSAN_OPTIONS=symbolize=0:exitcode=77:halt_on_error=1:print_stacktrace=1"
	asanFuzzOptions = "ASAN_OPTIONS=detect_leaks=0:symbolize=0:allocator_may_return_null=1"
)

var cFuzzArgv = []string{
	"/fuzz/fuzz", "-artifact_prefix=/out/candidates/", "-timeout=10", "-rss_limit_mb=1536", "-use_value_profile=1",
	"/out/corpus",
}

// makeC builds with clang and the address sanitizer: by the task's script, or
// by compiling the recipe's sources with harness and driver.
func (b *Builder) makeC(ctx context.Context, u unit) (tree, error) {
	made := "harness"
	if u.fuzz {
		made = "fuzz"
	}
	main, code := u.cMain()
	env := u.cEnv()
	in := tree{}.merge("src", code).merge("harness", u.harness).merge("driver", u.driver)
	steps := []sandbox.Command{sh("cp -r /in/src /work/src && chmod -R u+w /work/src && clang -O1 -c /in/driver/fuzz.c -o /work/fuzz.o", env)}
	if u.recipe.Script != "" {
		steps = append(steps, sandbox.Command{Argv: []string{"/bin/sh", "-eu", path.Join("/in/harness", u.recipe.Script)}, Env: env, Dir: "/work"})
	} else {
		files, err := glob(code, u.recipe.Sources)
		if err != nil {
			return nil, err
		}
		words := append(quoted(u.recipe.Flags), `-I"$SRC"`, `"$HARNESS/harness.c"`)
		if !u.fuzz {
			words = append(words, `"$DRIVER"`)
		}
		words = append(words, quoted(files)...)
		steps = append(steps, sandbox.Command{
			Argv: []string{"/bin/sh", "-euc", "cd " + "\"$SRC\" && $CC $CFLAGS " + strings.Join(words, " ") + " $LDFLAGS -lm -o \"$OUT/" + made + "\""},
			Env:  env, Dir: "/work",
		})
	}
	files, err := b.inBox(ctx, u.root, in, steps...)
	if err != nil {
		return nil, err
	}
	if _, ok := files[made]; !ok {
		return nil, proofhouse.Errorf(proofhouse.Failed, nil, "the build of %s left no $OUT/%s: mend the task's script", main, made)
	}
	return files, nil
}

// cEnv is the environment of a C build.
func (u unit) cEnv() []string {
	fuzz := "0"
	cflags := "-g -O1 -fno-omit-frame-pointer -ffile-prefix-map=/work/src=/src -ffile-prefix-map=/in=/src -fsanitize=address"
	if u.recipe.Undefined {
		cflags += ",undefined -fno-sanitize-recover=undefined"
	}
	ldflags := ""
	if u.fuzz {
		fuzz = "1"
		cflags += " -fsanitize=fuzzer-no-link"
		ldflags = "-fsanitize=fuzzer /work/fuzz.o"
	}
	return []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work", "SRC=/work/src", "HARNESS=/in/harness", "DRIVER=/in/driver/main.c", "OUT=/out", "FUZZ=" + fuzz,
		"CC=clang", "CXX=clang++", "CFLAGS=" + cflags, "CXXFLAGS=" + cflags, "LDFLAGS=" + ldflags, "SOURCE_DATE_EPOCH=0", "ZERO_AR_DATE=1", "LC_ALL=C",
	}
}

// cMain is the name of a C target's source and its files.
func (u unit) cMain() (string, tree) {
	src := u.recipe.Vulnerable
	if u.side == Fixed {
		src = u.recipe.Fixed
	}
	return src.place(C), u.source.code.sub(src.place(C))
}

func sh(script string, env []string) sandbox.Command {
	return sandbox.Command{Argv: []string{"/bin/sh", "-euc", script}, Env: env, Dir: "/work"}
}

// glob finds the files of t that match patterns, each of which must match.
func glob(t tree, patterns []string) ([]string, error) {
	var out []string
	for _, p := range patterns {
		n := len(out)
		for _, name := range t.names() {
			ok, err := path.Match(p, name)
			if err != nil {
				return nil, proofhouse.Errorf(proofhouse.Invalid, err, "sources has the malformed pattern %q", p)
			}
			if ok {
				out = append(out, name)
			}
		}
		if len(out) == n {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "no file of the source matches sources' %q", p)
		}
	}
	return out, nil
}

// quoted makes shell words.
func quoted(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, fmt.Sprintf("'%s'", strings.ReplaceAll(w, "'", `'\''`)))
	}
	return out
}
