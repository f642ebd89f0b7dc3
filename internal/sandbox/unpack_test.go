package sandbox

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	erofs "github.com/erofs/go-erofs"
)

func TestImagesKeepEveryFileInBlocksOfItsOwn(t *testing.T) {
	want := map[string]string{}
	for _, n := range []int{0, 1, 23, 500, 3000, 4031, 4032, 4033, 4096, 4097, 10_000} {
		want[fmt.Sprintf("f%d", n)] = strings.Repeat("x", max(0, n-1)) + strings.Repeat("y", min(n, 1))
	}
	img, err := (Images{Dir: t.TempDir()}).Write(func(w *erofs.Writer) error {
		for name, content := range want {
			f, err := w.Create(name)
			if err != nil {
				return err
			}
			if _, err := f.Write([]byte(content)); err != nil {
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
		}
		if err := w.Setxattr("f500", "user.note", "an attribute before the content"); err != nil {
			return err
		}
		return w.Chown("f23", 70000, 70000) // needs a long inode
	})
	if err != nil {
		t.Fatal(err)
	}
	tree, f, err := img.FS()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, content := range want {
		info, err := fs.Stat(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*erofs.Stat); st.InodeLayout != layoutPlain {
			t.Errorf("%s has layout %d", name, st.InodeLayout)
		}
		got, err := fs.ReadFile(tree, name)
		if err != nil || !bytes.Equal(got, []byte(content)) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestEqualContentGivesEqualImages(t *testing.T) {
	write := func() Image {
		img, err := (Images{Dir: t.TempDir()}).Write(func(w *erofs.Writer) error {
			f, err := w.Create("a")
			if err != nil {
				return err
			}
			if _, err := f.Write([]byte("content")); err != nil {
				return err
			}
			return f.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	if a, b := write(), write(); a.Digest != b.Digest {
		t.Errorf("%s and %s", a.Digest, b.Digest)
	}
}
