package docket

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestDaysByHand counts many lengths of time by hand, with starts at every minute near the
// changes of summer time.
func TestDaysByHand(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, z := range slowZones {
		zone := zone(t, z.name)
		for range 20_000 {
			from := time.Unix(1_700_000_000+r.Int64N(400_000_000), 0).UTC()
			holidays, slow := map[Date]bool{}, map[slowDate]bool{}
			for range r.IntN(5) {
				d := slowDateOf(from.Unix()/86400 + r.Int64N(12))
				slow[d], holidays[Date{d.year, time.Month(d.month), d.day}] = true, true
			}
			var days Days = CalendarDays(r.IntN(60))
			if r.IntN(2) == 0 {
				days = BusinessDays(r.IntN(30))
			}
			compareDays(t, from, days, z, Calendar{zone, holidays}, slow)
		}
		// Each minute of the days round a change lies some days after a start.
		for unix := int64(1_760_000_000); unix < 1_800_000_000; unix += 3600 {
			if z.offset(unix) == z.offset(unix+3600) {
				continue
			}
			for minute := int64(-300); minute < 300; minute++ {
				for n := range 3 {
					compareDays(t, time.Unix(unix+minute*60-int64(n)*86400, 0).UTC(), CalendarDays(n), z, Calendar{Zone: zone}, nil)
				}
			}
		}
	}
}

func compareDays(t *testing.T, from time.Time, days Days, z *slowZone, c Calendar, slow map[slowDate]bool) {
	t.Helper()
	if days.count() == 0 {
		return
	}
	if got, want := days.After(from, c).UTC(), slowAfter(from, days, z, slow); !got.Equal(want) {
		t.Fatalf("%s after %s in %s is %s, by hand %s", days, from, z.name, got, want)
	}
}
