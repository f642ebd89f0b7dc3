//go:build ignore

// The harness unpacks the input, a ZIP archive, below its working directory.
package main

import (
	"os"

	"github.com/unknwon/cae/zip"
)

// Harness runs the library on one input.
func Harness(b []byte) {
	if err := os.WriteFile("input.zip", b, 0o600); err != nil {
		return
	}
	_ = zip.ExtractTo("input.zip", "out")
}
