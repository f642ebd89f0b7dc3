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
