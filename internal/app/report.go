package app

import (
	"bufio"
	"io"
	"os"
	"path/filepath"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/inspect"
	"proofhouse/internal/bench/report"
	"proofhouse/internal/proofhouse"
)

// Report writes report.html of the first folder's run, compared with the
// others', and its Inspect log, into that folder.
func (a *App) Report(folders []string) error {
	runs := make([]bench.Result, len(folders))
	for i, folder := range folders {
		r, err := bench.ReadResult(folder)
		if err != nil {
			return err
		}
		runs[i] = r
	}
	artifact := func(d proofhouse.Digest) ([]byte, error) { return bench.Artifact(folders[0], d) }
	if err := writeFile(filepath.Join(folders[0], "report.html"), func(w io.Writer) error {
		return report.Write(w, report.Input{Runs: runs, Artifact: artifact})
	}); err != nil {
		return err
	}
	return writeFile(filepath.Join(folders[0], inspect.FileName(runs[0])), func(w io.Writer) error {
		return inspect.Write(w, runs[0], artifact)
	})
}

// writeFile writes a file that is whole or not there.
func writeFile(path string, fill func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the report cannot be written into the output folder")
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	w := bufio.NewWriterSize(tmp, 1<<20)
	if err := fill(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the report cannot be written whole: is the disk full?")
	}
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
