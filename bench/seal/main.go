// Command seal measures how fast the vault seals and opens an artifact beside
// the age command, which does the same work without digests, custody and
// certificates. It prints the table of docs/performance.md.
//
//	GOBIN=$PWD/bin go install filippo.io/age/cmd/...@v1.3.2
//	go run ./bench/seal -age bin/age -dir DIR
package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"

	"proofhouse/internal/vault"
)

var (
	ageCommand = flag.String("age", "age", "the age command, 1.3 or later")
	size       = flag.Int64("size", 1024, "MiB to seal")
	rounds     = flag.Int("rounds", 5, "how often; the median is printed")
	folder     = flag.String("dir", os.TempDir(), "where to work")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	dir, err := os.MkdirTemp(*folder, "seal-")
	must(err)
	defer os.RemoveAll(dir)
	in := filepath.Join(dir, "in")
	f, err := os.Create(in)
	must(err)
	_, err = io.CopyN(f, rand.Reader, *size<<20)
	must(err)
	must(f.Sync())
	must(f.Close())

	a := vault.New(filepath.Join(dir, "vault"), filepath.Join(dir, "house.key")).Artifacts(filepath.Join(dir, "bodies"), filepath.Join(dir, "heads"))
	defer a.Close()
	must(a.Create("c"))
	key, err := age.GenerateHybridIdentity()
	must(err)
	keyFile := filepath.Join(dir, "key")
	must(os.WriteFile(keyFile, []byte(key.String()+"\n"), 0o600))
	out := filepath.Join(dir, "out.age")

	figures := map[string][]figure{}
	note := func(what string, m figure) { figures[what] = append(figures[what], m) }
	for range *rounds { // in turn, since the machine is not the same all the time
		var x vault.Artifact
		note("vault seals, durably", ours(func() { x = seal(a, in) }))
		note("age seals, and its file is synced", theirs(out, "-r", key.Recipient().String(), "-o", out, in))
		note("vault opens, digest compared", ours(func() { open(a, x) }))
		note("age opens to /dev/null", theirs("", "-d", "-i", keyFile, "-o", "/dev/null", out))
		must(os.RemoveAll(filepath.Join(dir, "bodies", "c")))
		must(os.Remove(out))
	}
	fmt.Fprintf(os.Stdout, "| %d MiB, median of %d | MB/s | MB/s of CPU |\n|---|---|---|\n", *size, *rounds)
	for _, what := range []string{"vault seals, durably", "age seals, and its file is synced", "vault opens, digest compared", "age opens to /dev/null"} {
		fmt.Fprintf(os.Stdout, "| %s | %.0f | %.0f |\n", what, median(figures[what], func(m figure) time.Duration { return m.wall }), median(figures[what], func(m figure) time.Duration { return m.cpu }))
	}
}

type figure struct{ wall, cpu time.Duration }

func median(all []figure, of func(figure) time.Duration) (mb float64) {
	var d []time.Duration
	for _, m := range all {
		d = append(d, of(m))
	}
	slices.Sort(d)
	return float64(*size<<20) / 1e6 / d[len(d)/2].Seconds()
}

// ours measures what this process does.
func ours(do func()) figure {
	cpu := func() time.Duration {
		var u syscall.Rusage
		must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began, before := time.Now(), cpu()
	do()
	return figure{time.Since(began), cpu() - before}
}

// theirs measures the age command; what it wrote is synced, as ours is.
func theirs(out string, args ...string) figure {
	cmd := exec.Command(*ageCommand, args...)
	began := time.Now()
	if said, err := cmd.CombinedOutput(); err != nil {
		log.Fatalf("age %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	if out != "" {
		f, err := os.Open(out)
		must(err)
		must(f.Sync())
		must(f.Close())
	}
	return figure{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

func seal(a *vault.Artifacts, in string) vault.Artifact {
	f, err := os.Open(in)
	must(err)
	defer f.Close()
	s, err := a.Seal("c", "in", "")
	must(err)
	_, err = io.Copy(s, f)
	must(err)
	x, err := s.Commit()
	must(err)
	return x
}

func open(a *vault.Artifacts, x vault.Artifact) {
	layer, err := a.Unwrap("c", x.ID)
	must(err)
	o, err := a.Open("c", x.ID, layer)
	must(err)
	defer o.Close()
	_, err = io.Copy(io.Discard, o.Reader())
	must(err)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
