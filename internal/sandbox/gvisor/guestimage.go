package gvisor

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	erofs "github.com/erofs/go-erofs"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/guest"
)

// openGuest gives the image of the guest programs, built from the executable
// at first use and remembered by the executable's size and time.
func openGuest(images sandbox.Images, executable string) (sandbox.Image, error) {
	st, err := os.Stat(executable)
	if err != nil {
		return sandbox.Image{}, err
	}
	key := proofhouse.DigestOf(fmt.Appendf(nil, "3 %s %d %d", executable, st.Size(), st.ModTime().UnixNano()))
	note := filepath.Join(images.Dir, "guest-"+key.Short())
	if b, err := os.ReadFile(note); err == nil {
		if img, err := images.Open(proofhouse.Digest(strings.TrimSpace(string(b)))); err == nil {
			return img, nil
		}
	}
	img, err := images.Write(func(w *erofs.Writer) error {
		for _, dir := range []string{"proc", "sys", "dev", "tmp"} {
			if err := w.Mkdir(dir, 0o755); err != nil {
				return err
			}
		}
		if err := addProgram(w, "pause", strings.NewReader(string(guest.Pause()))); err != nil {
			return err
		}
		f, err := os.Open(executable)
		if err != nil {
			return err
		}
		defer f.Close()
		return addProgram(w, guest.Name, f)
	})
	if err != nil {
		return sandbox.Image{}, fmt.Errorf("building the guest image: %w", err)
	}
	tmp := note + "." + proofhouse.Token(5)
	if err := os.WriteFile(tmp, []byte(img.Digest), 0o644); err != nil {
		return sandbox.Image{}, err
	}
	return img, os.Rename(tmp, note)
}

func addProgram(w *erofs.Writer, name string, r io.Reader) error {
	f, err := w.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := f.Chmod(0o755); err != nil {
		return err
	}
	return f.Close()
}
