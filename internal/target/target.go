// Package target holds software to test: it fetches third-party code by name,
// version and hash without running any of it, builds it in a box that has no
// network, and yields images named by digest, one vulnerable, one fixed. It
// judges nothing: what an input does to a build is for oracle to say.
package target

import (
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// Language is what a target is written in and so how it is built and run.
type Language string

// The languages.
const (
	C          Language = "c"
	Go         Language = "go"
	JavaScript Language = "javascript"
)

// Side tells the two builds of a pair apart.
type Side string

// The sides of a pair.
const (
	Vulnerable Side = "vulnerable"
	Fixed      Side = "fixed"
)

// Recipe says where a target's code comes from and how it becomes two
// programs. It is the [metadata.cyber.target] table of a task.toml. Files that
// it names lie in the task's folder.
type Recipe struct {
	Language Language `toml:"language" json:"language"`
	// Root names the root that builds: a file of tasks/root without ".toml".
	BuildRoot string `toml:"build_root" json:"build_root"`
	// RunRoot names the root that the builds run in.
	RunRoot string `toml:"run_root" json:"run_root"`
	// Harness is the folder, relative to the task's, whose files are laid over
	// both sides: harness.go, harness.c, harness.js, fuzz drivers, seeds/.
	Harness string `toml:"harness" json:"harness"`
	// Vulnerable and Fixed are the two sources.
	Vulnerable Source `toml:"vulnerable" json:"vulnerable"`
	Fixed      Source `toml:"fixed,omitempty" json:"fixed"`
	// Script, if not empty, is a shell script of the harness folder that
	// builds a C target in the box instead of the default (see Builder).
	Script string `toml:"script,omitempty" json:"script,omitempty"`
	// Sources are globs of the C files, relative to the source, that the
	// default build compiles; Flags are added to its compiler's.
	Sources []string `toml:"sources,omitempty" json:"sources,omitempty"`
	Flags   []string `toml:"flags,omitempty" json:"flags,omitempty"`
	// Undefined adds the undefined-behaviour sanitizer to a C target.
	Undefined bool `toml:"undefined,omitempty" json:"undefined,omitempty"`
}

// Source pins third-party code. Exactly one of the groups is filled.
type Source struct {
	// A Go module or an npm package with all that it needs, by lock file
	// (relative to the task's folder): NAME.mod with NAME.sum beside it, or a
	// package-lock.json of version 3. Every hash in it is checked on fetching.
	// A C target takes one package and no lock.
	Package string `toml:"package,omitempty" json:"package,omitempty"` // "golang.org/x/net", "minimist"
	Version string `toml:"version,omitempty" json:"version,omitempty"`
	Hash    string `toml:"hash,omitempty" json:"hash,omitempty"` // h1:… of the module zip, sha512-… of the npm tarball
	Lock    string `toml:"lock,omitempty" json:"lock,omitempty"`
	// A folder, relative to the recipe's, that holds the source itself: software of
	// one's own. Package names it; a lock, if any, pins what it needs. Only for Builder.Make and Builder.Test.
	Tree string `toml:"tree,omitempty" json:"tree,omitempty"`
	// A Debian source package: the original archive by hash; Omit is the name
	// of the one patch of debian/patches/series to leave out, by hash. A newer
	// revision that holds both is accepted.
	Debian   string `toml:"debian,omitempty" json:"debian,omitempty"`     // source package name
	Revision string `toml:"revision,omitempty" json:"revision,omitempty"` // the least Debian version
	Orig     string `toml:"orig,omitempty" json:"orig,omitempty"`         // sha256:… of the original archive
	Omit     string `toml:"omit,omitempty" json:"omit,omitempty"`         // patch name; on the vulnerable side only
	Patch    string `toml:"patch,omitempty" json:"patch,omitempty"`       // sha256:… of that patch; on both sides
}

// Build is one side of a target, ready to run in a box.
type Build struct {
	Side   Side          `json:"side"`
	Root   sandbox.Image `json:"root"`   // the box's root
	Image  sandbox.Image `json:"image"`  // the program, shown at /target
	Argv   []string      `json:"argv"`   // takes the input's path as its last argument, which the caller adds
	Env    []string      `json:"env"`    // sanitizer and runtime options that the build needs
	Source string        `json:"source"` // package and version, or Debian revision and patch left out
	// Inputs are the digests of all that went into the build, for the record.
	Inputs map[string]proofhouse.Digest `json:"inputs"`
	Took   time.Duration                `json:"took"`
}

// Target is a pair of builds of the same software.
type Target struct {
	Language   Language `json:"language"`
	Vulnerable Build    `json:"vulnerable"`
	Fixed      Build    `json:"fixed"`
	// SourceTree is the vulnerable side's source, for the agent: /src.
	SourceTree sandbox.Image `json:"source_tree"`
	// Fuzz is the vulnerable side instrumented for the baseline fuzzer, with
	// its command line; it may reach an agent's box. Its image is shown at /fuzz.
	Fuzz Build `json:"fuzz"`
}
