package app

import (
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestCeremonies: what a browser carries is of one kind, one process and its time, as it was sealed, and is answered once.
func TestCeremonies(t *testing.T) {
	fresh := func() *ceremonies {
		t.Helper()
		c, err := newCeremonies()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c, now := fresh(), time.Now()
	sealed, err := c.begin("one", "challenge", now)
	if err != nil {
		t.Fatal(err)
	}
	var says string
	ends, err := c.open("one", sealed, &says, now.Add(ceremonyLife-1))
	if err != nil || says != "challenge" {
		t.Fatal(says, err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if proofhouse.KindOf(err) != proofhouse.Refused {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, open := range map[string]func() (time.Time, error){
		"another kind":    func() (time.Time, error) { return c.open("two", sealed, &says, now) },
		"another process": func() (time.Time, error) { return fresh().open("one", sealed, &says, now) },
		"too late":        func() (time.Time, error) { return c.open("one", sealed, &says, now.Add(ceremonyLife)) },
		"altered":         func() (time.Time, error) { return c.open("one", "A"+sealed, &says, now) },
		"nothing":         func() (time.Time, error) { return c.open("one", "", &says, now) },
	} {
		_, err := open()
		refused(what, err)
	}
	if err := c.spend(says, ends, now); err != nil {
		t.Error(err)
	}
	refused("again", c.spend(says, ends, now))
	if err := c.spend("another", ends.Add(time.Hour), ends); err != nil || len(c.spent) != 1 {
		t.Errorf("what has ended is remembered: %v %v", c.spent, err)
	}
}
