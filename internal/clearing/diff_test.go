package clearing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

const twoPieces = `diff --git a/a.c b/a.c
--- a/a.c
+++ b/a.c
@@ -1,5 +1,6 @@
 one
+one and a half
 two
 three
-four
+fore
 five
`

// TestDiff cuts a patch into pieces, and refuses what has two readings.
func TestDiff(t *testing.T) {
	d, err := ParseDiff([]byte(twoPieces))
	if err != nil || d.Len() != 2 {
		t.Fatal(d.Len(), err)
	}
	if got := string(d.Subset([]int{1})); strings.Contains(got, "half") || !strings.Contains(got, "-four\n+fore") || !strings.Contains(got, "@@ -1,5 +1,5 @@") {
		t.Errorf("the second piece alone: %s", got)
	}
	for name, text := range map[string]string{
		"none":    "please",
		"renames": "diff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to b\n",
		"removes": "diff --git a/a b/a\ndeleted file mode 100644\n--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
	} {
		if _, err := ParseDiff([]byte(text)); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A reader that skips what it does not know would find a second file in the words before the first.
	smuggled := "A fix.\n\n--- a/tests/run.sh\n+++ b/tests/run.sh\n@@ -1 +1 @@ \n-set -eu\n+exit 0\n\n" + twoPieces
	d, err = ParseDiff([]byte(smuggled))
	if err != nil {
		return // refused is as good
	}
	if touched, err := target.Touched(d.Whole()); err != nil || !slices.Equal(touched, d.Files()) {
		t.Errorf("what is applied changes %v, what is looked at %v: %v", touched, d.Files(), err)
	}
}

// FuzzParseDiff: what is applied is what was looked at, whatever comes.
func FuzzParseDiff(f *testing.F) {
	f.Add([]byte(twoPieces))
	f.Add(nullPatch)
	f.Add([]byte("--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDiff(b)
		if err != nil {
			return
		}
		again, err := ParseDiff(d.Whole())
		if err != nil || again.Len() != d.Len() || !slices.Equal(again.Files(), d.Files()) {
			t.Fatalf("%v: %q became %q", err, b, d.Whole())
		}
	})
}

// TestPermitted: what was seen is the desk's to say, and what goes out a person's.
func TestPermitted(t *testing.T) {
	partner := proofhouse.Actor{Role: proofhouse.Partner, Organisation: "bank", Person: "ada"}
	nobody := proofhouse.Actor{Role: proofhouse.Coordinator, Organisation: "body"}
	for _, c := range []struct {
		by  proofhouse.Actor
		act Act
	}{
		{partner, Reproduced{}},
		{partner, Checked{}},
		{partner, Compared{}},
		{partner, Decide{}},
		{partner, Declare{}},
		{partner, Make{}},
		{partner, Release{}},
		{partner, Reply{}},
		{machine, Release{}},
		{machine, Decide{}},
		{nobody, Release{}},
	} {
		if _, err := (Project{}).Apply(Event{c.by, c.act}, time.Unix(0, 0)); proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("%s by %s: %v", NameOf(c.act), c.by.Person, err)
		}
	}
}

// TestClaim refuses what does not show, and what is missing.
func TestClaim(t *testing.T) {
	good := Claim{Title: "It breaks", Purl: "pkg:npm/x@1", AI: "none", Marking: proofhouse.Amber}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Claim){
		"no title": func(c *Claim) { c.Title = " " }, "two lines": func(c *Claim) { c.Title = "a\nb" }, "turned": func(c *Claim) { c.Credit = "a\u202eb" },
		"no version": func(c *Claim) { c.Purl = "pkg:npm/x" }, "no word of AI": func(c *Claim) { c.AI = "" }, "no marking": func(c *Claim) { c.Marking = "" },
		"escape": func(c *Claim) { c.CWE = "\x1b[2J" }, "not UTF-8": func(c *Claim) { c.Symbol.Function = "\xff" },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseDeclaration and FuzzParseRecord: nothing that comes breaks a reader, and what is read is written the same.
func FuzzParseDeclaration(f *testing.F) {
	f.Add([]byte("capacity = 2\nstyle = \"plain\"\n[[closed]]\nfrom = \"2026-07-01\"\nuntil = \"2026-07-31\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDeclaration(b); err == nil && d.Validate() != nil {
			t.Fatal("read, and not valid")
		}
	})
}

// FuzzParseRecord reads a record in one spelling.
func FuzzParseRecord(f *testing.F) {
	b, err := Record{"pkg:npm/x", 1, time.Unix(0, 0).UTC(), Event{machine, Withdraw{"finding-x"}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseRecord(b); err == nil {
			if again, err := r.Encode(); err != nil || string(again) != string(b) {
				t.Fatalf("%q became %q", b, again)
			}
		}
	})
}

// TestChange: the same check of another thing is the same change, and anything else is not.
func TestChange(t *testing.T) {
	of := func(file, lines string) proofhouse.Digest {
		t.Helper()
		d, err := ParseDiff([]byte("--- a/" + file + "\n+++ b/" + file + "\n@@ -1,2 +1,3 @@\n one\n" + lines + "\n two\n"))
		if err != nil {
			t.Fatal(err)
		}
		return d.Change()
	}
	check := of("x.go", `+	if v, ok := s.values[c].(int); !ok { return "no" }`)
	for _, same := range []string{`+if  w, ok := s.values[i].(string); !ok {return "none" }`, `+	if v, ok := s.names[10].(T); !ok { return refused }`} {
		if of("x.go", same) != check {
			t.Errorf("another change: %s", same)
		}
	}
	for _, other := range []string{`+	if v, ok := s.values[c].(int); ok { return "no" }`, `+	if v, ok := s.values.(int); !ok { return "no" }`, `+	if v, ok := s.values[c].(int); !ok { return "no", nil }`} {
		if of("x.go", other) == check {
			t.Errorf("the same change: %s", other)
		}
	}
	if of("y.go", `+	if v, ok := s.values[c].(int); !ok { return "no" }`) == check {
		t.Error("the same change in another file")
	}
}
