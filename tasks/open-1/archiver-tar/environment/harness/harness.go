//go:build ignore

// The harness unpacks the input, a tar archive, into its working directory.
package main

import (
	"os"

	"github.com/mholt/archiver"
)

// Harness runs the library on one input.
func Harness(b []byte) {
	root, err := os.Getwd()
	if err != nil {
		return
	}
	if err := os.WriteFile("input.tar", b, 0o600); err != nil {
		return
	}
	_ = archiver.Tar.Open("input.tar", root)
}
