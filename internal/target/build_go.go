package target

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"regexp"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Where the toolchain lies in a root for Go.
const goTool = "/usr/local/go/bin/go"

var goFuzzArgv = []string{
	"/fuzz/harness.test", "-test.run=^$", "-test.fuzz=^FuzzHarness$", "-test.fuzzcachedir=/out/corpus",
	"-test.fuzzminimizetime=0s", "-test.parallel=1", "-test.timeout=0",
}

// buildIgnore is the line that keeps our own module from seeing a task's or a
// driver's Go file.
var buildIgnore = regexp.MustCompile(`(?m)^//go:build ignore\n`)

// goModule is the main package as the box sees it: the task's go.mod, its
// harness and our driver.
func (u unit) goModule() tree {
	t := tree{"go.mod": {data: u.source.lock.mod}, "go.sum": {data: u.source.lock.sum}}
	for name, n := range (tree{}).merge("", u.harness).merge("", u.driver) {
		n.data = buildIgnore.ReplaceAll(n.data, nil)
		t[name] = n
	}
	return t
}

// makeGo builds with the modules of the lock as the only proxy. -mod=readonly
// makes the go command refuse any module that the lock does not pin, and what
// was linked is read back from the program.
func (b *Builder) makeGo(ctx context.Context, u unit, progress func(string)) (tree, error) {
	module := u.goModule()
	in := tree{}.merge("proxy", u.source.proxy)
	if u.local {
		mod, err := u.replaced()
		if err != nil {
			return nil, err
		}
		module["go.mod"] = node{data: mod}
		in.merge("source", u.localModule())
	}
	in.merge("module", module)
	env := goEnv(goCache)
	argv, made := []string{goTool, "build", "-o", "/out/harness"}, "harness"
	if u.fuzz {
		argv, made = []string{goTool, "test", "-c", "-fuzz=^FuzzHarness$", "-o", "/out/harness.test"}, "harness.test"
	}
	argv = append(argv, ".")
	root, err := b.warmGo(ctx, u.root, progress)
	if err != nil {
		return nil, err
	}
	// The go command trims its cache unless it did so today.
	files, err := b.inBox(ctx, root, in,
		sh("date +%s >"+goCache+"/trim.txt", env), sandbox.Command{Argv: argv, Env: env, Dir: "/in/module"})
	if err != nil {
		return nil, err
	}
	out := tree{made: files[made]}
	return out, u.linked(files[made].data)
}

// goEnv is the go command's environment in a box. Without cgo a program needs
// nothing of its root, and C in a module is built as a C target instead, where
// the sanitizers and the fuzzer see it.
func goEnv(cache string) []string {
	return []string{
		"PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin", "HOME=/work", "CGO_ENABLED=0", "GO111MODULE=on", "GOWORK=off", "GOTOOLCHAIN=local",
		"GOPROXY=file:///in/proxy", "GOSUMDB=off", "GOFLAGS=-mod=readonly -trimpath -buildvcs=false -ldflags=-buildid=",
		"GOMODCACHE=/work/mod", "GOCACHE=" + cache, "GOTMPDIR=/work",
	}
}

// linked compares the modules in a program with the lock.
func (u unit) linked(program []byte) error {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return proofhouse.Errorf(proofhouse.Integrity, err, "the build is no Go program")
	}
	src := u.recipe.Vulnerable
	if u.side == Fixed {
		src = u.recipe.Fixed
	}
	seen := false
	for _, dep := range info.Deps {
		if u.local && dep.Path == src.Package && dep.Replace != nil && dep.Replace.Path == "/in/source" {
			seen = true
			continue
		}
		if dep.Replace != nil {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "the build replaced %s", dep.Path)
		}
		pinned := false
		for m, h := range u.source.lock.zips {
			pinned = pinned || m.Path == dep.Path && m.Version == dep.Version && h == dep.Sum
		}
		if !pinned {
			return differs("the built-in "+dep.Path, "a version of the lock", dep.Version+" "+dep.Sum)
		}
		seen = seen || dep.Path == src.Package && dep.Version == src.Version && dep.Sum == src.Hash
	}
	if !seen {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the build does not contain %s %s: another module of the lock raised it, or the harness does not use it", src.Package, src.Version)
	}
	return nil
}
