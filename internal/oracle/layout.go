package oracle

import (
	"fmt"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// Where things lie in a box of the oracle.
const (
	targetDir = "/target" // the build's image
	workDir   = "/work"
	canaryDir = "/canary"
	outDir    = "/out"
	logDir    = "/report" // sanitizer logs; a file system of its own, so that filling another does not keep a report from being written
)

// writableDirs are all places of a box where an unprivileged user can leave a
// file.
var writableDirs = []string{workDir, "/tmp", outDir, canaryDir, "/var/tmp", "/dev/shm"}

// reportMax is how many bytes of the report channel are read.
const reportMax = 64 << 10

// maxListed bounds the files that a run may leave behind.
const maxListed = 20000

// spec is the box for one build under a rule.
func spec(b target.Build, rule Rule) sandbox.Spec {
	return sandbox.Spec{
		Root:     b.Root,
		Mounts:   []sandbox.Mount{{Image: b.Image, Path: targetDir}},
		Writable: []string{workDir, canaryDir, outDir, logDir},
		Limits: sandbox.Limits{
			Memory: rule.MemoryBytes, Processes: 256, CPU: 2, Disk: 256 << 20, Files: 512, Output: 256 << 10,
		},
		Network: sandbox.NoNetwork,
	}
}

func limitsKey(l sandbox.Limits) string { return fmt.Sprintf("%+v", l) }
