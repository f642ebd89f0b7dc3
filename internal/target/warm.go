package target

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// goCache is the go command's build cache in a root that is warmed.
const goCache = "/var/cache/proofhouse-go"

// warmImports are what targets commonly need of the standard library. A target
// that needs more compiles the rest itself.
var warmImports = []string{
	"archive/tar", "archive/zip", "bufio", "bytes", "compress/bzip2", "compress/flate", "compress/gzip", "compress/lzw", "compress/zlib",
	"container/heap", "container/list", "context", "crypto/hmac", "crypto/md5", "crypto/sha1", "crypto/sha256", "crypto/sha512",
	"encoding/base64", "encoding/binary", "encoding/hex", "encoding/json", "encoding/xml", "errors", "fmt", "hash/adler32", "hash/crc32", "hash/fnv",
	"html", "image", "image/color", "image/draw", "io", "io/ioutil", "log", "math", "math/big", "math/rand", "net/url", "os", "path/filepath",
	"reflect", "regexp", "runtime/metrics", "sort", "strconv", "strings", "sync", "syscall", "text/template", "time", "unicode",
}

// farFuture is the time of a warmed cache's files: the go command neither
// renews nor trims what it takes for young.
var farFuture = time.Unix(4102444800, 0) // 2100-01-01

// warmGo gives root with a build cache that holds the standard library,
// compiled plain and for the fuzzer, since compiling it takes a box a minute.
// The cache is made in a box from root alone, once for each root.
func (b *Builder) warmGo(ctx context.Context, root sandbox.Image, progress func(string)) (sandbox.Image, error) {
	raw, err := json.Marshal([]any{"warm go", 2, root.Digest, warmImports})
	if err != nil {
		return sandbox.Image{}, err
	}
	key := proofhouse.DigestOf(raw)
	defer b.lock(key)()
	record := filepath.Join(b.cfg.Dir, "go-"+key.Hex()+".json")
	var made struct {
		Image proofhouse.Digest `json:"image"`
	}
	if raw, err := os.ReadFile(record); err == nil && json.Unmarshal(raw, &made) == nil {
		if img, err := b.cfg.Images.Open(made.Image); err == nil {
			return img, nil
		}
	}
	progress("compiling the standard library, once for all Go targets")
	var main bytes.Buffer
	main.WriteString("package main\n\n")
	main.WriteString("import (\n")
	for _, p := range warmImports {
		fmt.Fprintf(&main, "\t_ %q\n", p)
	}
	main.WriteString(")\n\nfunc main() {}\n")
	in := tree{
		"module/go.mod":       {data: []byte("module warm\n\ngo 1.21\n")},
		"module/main.go":      {data: main.Bytes()},
		"module/fuzz_test.go": {data: []byte("package main\n\nimport \"testing\"\n\nfunc FuzzHarness(f *testing.F) {}\n")},
	}
	env := goEnv("/work/cache")
	step := func(argv ...string) sandbox.Command {
		return sandbox.Command{Argv: append(argv, "."), Env: env, Dir: "/in/module"}
	}
	files, err := b.inBox(ctx, root, in,
		step(goTool, "build", "-o", "/dev/null"),
		step(goTool, "test", "-c", "-fuzz=^FuzzHarness$", "-o", "/dev/null"),
		sh("cd /work/cache && tar -cf /out/cache.tar .", env))
	if err != nil {
		return sandbox.Image{}, fmt.Errorf("compiling the standard library: %w", err)
	}
	cache, err := untar(bytes.NewReader(files["cache.tar"].data), 0)
	if err != nil {
		return sandbox.Image{}, fmt.Errorf("reading the compiled standard library: %w", err)
	}
	delete(cache, "trim.txt")
	for name := range cache {
		if strings.HasPrefix(name, "fuzz/") {
			delete(cache, name)
		}
	}
	base, f, err := root.FS()
	if err != nil {
		return sandbox.Image{}, err
	}
	defer f.Close()
	img, err := b.cfg.Images.Write(func(w *erofs.Writer) error {
		if err := w.CopyFrom(base); err != nil {
			return err
		}
		return cache.write(w, goCache, int(sandbox.Nobody.UID), farFuture)
	})
	if err != nil {
		return sandbox.Image{}, fmt.Errorf("writing the warmed root: %w", err)
	}
	made.Image = img.Digest
	if raw, err = json.Marshal(made); err == nil {
		err = (Fetcher{Dir: b.cfg.Dir}).keep(filepath.Base(record), raw)
	}
	return img, err
}
