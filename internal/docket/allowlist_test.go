package docket

import (
	"fmt"
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestParseAllowList(t *testing.T) {
	const text = "\ufefforganisation,title\r\n" +
		"bank,The Bank\n" +
		"hospital,\"Hospital, St. \"\"Anne\"\"\"\n" +
		"bank,The Bank again\n" +
		"bаnk,with a Cyrillic letter\n" +
		"Bank,in capitals\n" +
		"grid\n" +
		"grid,Grid,more\n" +
		"water,\n" +
		"\n" +
		"rail,\"two\nlines\"\n" +
		"power,Power\u202egrid\n" +
		"last,Last\n"
	all, wrong, err := ParseAllowList([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(all); got != `[{bank The Bank} {hospital Hospital, St. "Anne"} {last Last}]` {
		t.Errorf("read %s", got)
	}
	var lines []int
	for _, w := range wrong {
		lines = append(lines, w.Line)
		if strings.Contains(w.Error(), "Cyrillic") || strings.Contains(w.Error(), "Grid") {
			t.Errorf("the error quotes the row: %v", w)
		}
	}
	if fmt.Sprint(lines) != "[4 5 6 7 8 9 11 13]" {
		t.Errorf("wrong are the lines %v: %v", lines, wrong)
	}
	if !strings.Contains(wrong[0].Error(), "on line 2 already") {
		t.Errorf("of a repetition it says: %v", wrong[0])
	}

	all, wrong, err = ParseAllowList([]byte("organisation,title\nbank,The Bank\nx,a\"b\nhospital,H\n"))
	if err != nil || len(all) != 1 || len(wrong) != 1 || wrong[0].Line != 3 {
		t.Errorf("after a stray quote: %v, %v, %v", all, wrong, err)
	}
	long := "organisation,title\n" + strings.Repeat("Bad,x\n", maxAllowRows+5)
	if _, wrong, err = ParseAllowList([]byte(long)); err != nil || len(wrong) != maxAllowRows+1 || proofhouse.KindOf(wrong[maxAllowRows].Err) != proofhouse.Limit {
		t.Errorf("of too many rows: %d errors, %v", len(wrong), err)
	}
	for _, bad := range []string{"", "bank,The Bank\n", "title,organisation\n", strings.Repeat("x", maxAllowList+1)} {
		if _, _, err := ParseAllowList([]byte(bad)); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%.20q: got %v", bad, err)
		}
	}
}

func FuzzParseAllowList(f *testing.F) {
	f.Add([]byte("organisation,title\nbank,The Bank\nx,\"a\nb\"\n"))
	f.Add([]byte("organisation,title\r\n\"bank\",\"\"\r\n,\r\n"))
	c, now := play(f, profile(f, "institute"), agreedPartners()...)
	f.Fuzz(func(t *testing.T, b []byte) {
		all, wrong, err := ParseAllowList(b)
		if err != nil {
			if proofhouse.KindOf(err) != proofhouse.Invalid {
				t.Fatalf("not Invalid: %v", err)
			}
			return
		}
		last := 0
		for _, w := range wrong {
			if w.Line <= last || w.Line > strings.Count(string(b), "\n")+1 {
				t.Fatalf("line %d after line %d", w.Line, last)
			}
			last = w.Line
		}
		// Every row that was read can be nominated.
		c := c
		for _, n := range all {
			if n.Organisation == "institute" {
				continue
			}
			if c, err = c.Apply(Event{coordinator, n}, now); err != nil {
				t.Fatalf("a row that was read cannot be nominated: %v", err)
			}
		}
	})
}
