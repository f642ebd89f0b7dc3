// Package clearing turns claims of vulnerabilities into one packet a bug that a
// maintainer can trust. A finding comes in, a machine reproduces it or it goes
// nowhere, duplicates are told by execution, a candidate patch is verified, and
// a person releases what goes out, at the pace that the project set. What an input does to a
// build is oracle's to say, how software is built is target's.
//
// The rules are pure: Judge, Compare, Clusters, Project.Apply. Workshop is what they
// need of the world.
package clearing

import (
	"context"

	"proofhouse/internal/oracle"
	"proofhouse/internal/target"
)

// Workshop builds one version of a project, with patches laid over it, and runs
// inputs on it. Its methods are safe for concurrent use.
type Workshop interface {
	// Build makes a program. A patch that does not fit is proofhouse.Invalid, a source
	// that does not build with it proofhouse.Failed.
	Build(ctx context.Context, patches ...[]byte) (Program, error)
	// Test runs the project's own tests. A project that has none is proofhouse.NotFound.
	Test(ctx context.Context, patches ...[]byte) (target.Tested, error)
}

// Program is a build that takes inputs. Close it.
type Program interface {
	// Observe runs one input n times, each as if it were the first.
	Observe(ctx context.Context, input []byte, n int) (oracle.Sight, error)
	Close() error
}
