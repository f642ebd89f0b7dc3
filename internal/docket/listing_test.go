package docket

import (
	"slices"
	"testing"
	"time"
)

// TestUrgency puts cases in the order of lists.
func TestUrgency(t *testing.T) {
	at := func(days int) time.Time { return start.Add(time.Duration(days) * day) }
	// In the order that they should have.
	all := []Summary{
		{ID: "past", Opened: at(0), Window: at(-3)},
		{ID: "soon", Opened: at(0), Window: at(3)},
		{ID: "later", Opened: at(9), Window: at(4)},
		{ID: "new", Opened: at(9)},
		{ID: "old", Opened: at(1), Engagement: Open},
		{ID: "withdrawn", Opened: at(8), Window: at(1), Withdrawn: at(2)},
		{ID: "determined", Opened: at(7), Window: at(1), Engagement: Determined},
		{ID: "ended", Opened: at(6), Engagement: Ended},
	}
	for i, s := range all {
		if i > 0 && s.Urgency() <= all[i-1].Urgency() {
			t.Errorf("%s does not stand after %s", s.ID, all[i-1].ID)
		}
		for _, state := range []string{"open", "ended", ""} {
			from, below := Listing{State: state}.Range()
			in := s.Urgency() >= from && s.Urgency() < below
			if want := state == "" || (state == "ended") == slices.Contains([]string{"withdrawn", "determined", "ended"}, string(s.ID)); in != want {
				t.Errorf("%s is among those that are %q: %v", s.ID, state, in)
			}
		}
	}
	if (Summary{Window: time.Unix(0, 0)}).Urgency() == 0 {
		t.Error("a case has the urgency that says that none was worked out")
	}
}
