package policy

import (
	"reflect"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

// TestFetch: what cannot be fetched first, then what can be fetched again, and until when.
func TestFetch(t *testing.T) {
	at := time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)
	approved := Asked{ID: "r", What: Export, Reason: "r", Asker: "ada@lab", First: "rita@body", Second: "otto@body", At: at, FirstAt: at, SecondAt: at}
	fetched, err := approved.Fetch("developer", at.Add(time.Minute))
	if err != nil || fetched.Used != at.Add(time.Minute) || fetched.For != "developer" {
		t.Fatalf("%+v, %v", fetched, err)
	}
	half := approved
	half.Second = ""
	unsealed := fetched
	unsealed.What = Unseal
	whole, err := approved.Fetch("", at)
	if err != nil || whole.For != "" {
		t.Fatalf("%+v, %v", whole, err)
	}
	for name, c := range map[string]struct {
		a      Asked
		reader proofhouse.Role
		after  time.Duration // the approval
		want   proofhouse.Kind
	}{
		"without the second approval": {half, "developer", time.Minute, proofhouse.Refused},
		"approved too long ago":       {approved, "developer", useLife + time.Second, proofhouse.Limit},
		"for other readers":           {fetched, "auditor", 2 * time.Minute, proofhouse.Conflict},
		"for all, after some":         {fetched, "", 2 * time.Minute, proofhouse.Conflict},
		"for some, after all":         {whole, "developer", 2 * time.Minute, proofhouse.Conflict},
		"after the hour":              {fetched, "developer", time.Minute + fetchLife + time.Microsecond, proofhouse.Conflict},
		"before it was used":          {fetched, "developer", 0, proofhouse.Conflict},
		"what is no export":           {unsealed, "developer", 2 * time.Minute, proofhouse.Conflict},
	} {
		if got, err := c.a.Fetch(c.reader, at.Add(c.after)); proofhouse.KindOf(err) != c.want || !reflect.DeepEqual(got, c.a) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, after := range []time.Duration{time.Minute, 30 * time.Minute, time.Minute + fetchLife} {
		// The hour runs from the first time, so that it ends.
		if again, err := fetched.Fetch("developer", at.Add(after)); err != nil || !reflect.DeepEqual(again, fetched) {
			t.Errorf("again after %v: %+v, %v", after, again, err)
		}
	}
}

// TestUntil: what is said of how long a request holds is what is held to.
func TestUntil(t *testing.T) {
	at := time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)
	waits := Asked{ID: "r", What: Destroy, Reason: "r", Asker: "ada@lab", At: at}
	approved := Asked{ID: "r", What: Export, Reason: "r", Asker: "ada@lab", First: "rita@body", Second: "otto@body", At: at, FirstAt: at, SecondAt: at.Add(time.Hour)}
	fetched, err := approved.Fetch("", at.Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		a  Asked
		do func(Asked, time.Time) (Asked, error)
	}{
		"waits":        {waits, func(a Asked, now time.Time) (Asked, error) { return a.Approve("rita@body", now) }},
		"approved":     {approved, Asked.Use},
		"exported":     {fetched, func(a Asked, now time.Time) (Asked, error) { return a.Fetch("", now) }},
		"broken glass": {Asked{ID: "r", What: BreakGlass, Reason: "r", Asker: "gus@body", At: at}, Asked.Use},
	} {
		until := c.a.Until()
		if _, err := c.do(c.a, until); err != nil {
			t.Errorf("%s: until %v, and not at that time: %v", name, until, err)
		}
		if _, err := c.do(c.a, until.Add(time.Microsecond)); err == nil {
			t.Errorf("%s: until %v, and after that", name, until)
		}
	}
	used, err := Asked{ID: "r", What: Destroy, Asker: "ada@lab", First: "rita@body", Second: "otto@body", At: at, SecondAt: at}.Use(at)
	if err != nil || !used.Until().IsZero() {
		t.Errorf("what was used holds until %v, %v", used.Until(), err)
	}
}
