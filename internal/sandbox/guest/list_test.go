package guest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestListAndParseAgree(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b c", "new\nline", "quote\"d", "\xff\xfe", "a-b", "a.d"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("\xff \"to", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if status := Main([]string{"list", dir, "8"}, nil, &out, os.Stderr); status != 0 {
		t.Fatal(status)
	}
	all, err := ParseList(&out, 8)
	if err != nil || len(all) != 8 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, e := range all {
		if i > 0 && all[i-1].Path >= e.Path {
			t.Errorf("%q after %q", e.Path, all[i-1].Path)
		}
		if filepath.Base(e.Path) == "link" && e.Link != "\xff \"to" {
			t.Errorf("link to %q", e.Link)
		}
	}
	if status := Main([]string{"list", dir, "7"}, nil, &out, &bytes.Buffer{}); status != ExitLimit {
		t.Errorf("too many gave %d", status)
	}
	if status := Main([]string{"list", filepath.Join(dir, "absent"), "7"}, nil, &out, &bytes.Buffer{}); status != ExitNotFound {
		t.Errorf("absent gave %d", status)
	}
}

func TestParseListRefuses(t *testing.T) {
	for _, line := range []string{
		"x", "1 2 3", `1 2 3 "relative" ""`, `1 2 3 "/a/../b" ""`, `1 -2 3 "/a" ""`, `1 2 -3 "/a" ""`,
		`1 2 3 '/a' ""`, "1 2 3 `/a` \"\"", `1 2 3 "/a" x`, `1 2 3 "/a"`, "1 2 3 \"/a\" \"\"\n1 2 3 \"/b\" \"\"",
		"1 2 3 \"/" + strings.Repeat("a", 70_000) + "\" \"\"",
	} {
		if _, err := ParseList(strings.NewReader(line), 1); proofhouse.KindOf(err) != proofhouse.Internal || err == nil {
			t.Errorf("%.40q: %v", line, err)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte("420 5 0 \"/a b\" \"\"\n134218239 3 65534 \"/l\" \"x\\n\"\n"))
	f.Add([]byte("1 2 3 '/a' \"\"\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := ParseList(bytes.NewReader(b), 4)
		if err == nil && len(all) > 4 {
			t.Errorf("%d entries", len(all))
		}
		for _, e := range all {
			if !filepath.IsAbs(e.Path) || filepath.Clean(e.Path) != e.Path || e.Size < 0 {
				t.Errorf("entry %+v", e)
			}
		}
	})
}
