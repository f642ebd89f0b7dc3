package docket

import (
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestAfter(t *testing.T) {
	holidays := map[Date]bool{{2026, 12, 25}: true, {2026, 12, 28}: true}
	for _, c := range []struct {
		name, zone, from string
		days             Days
		want             string
	}{
		{"thirty days", "UTC", "2026-06-02T09:00:00Z", CalendarDays(30), "2026-07-02T09:00:00Z"},
		{"over a leap day", "UTC", "2028-02-28T12:00:00Z", CalendarDays(2), "2028-03-01T12:00:00Z"},
		{"no leap day in 2100", "UTC", "2100-02-28T12:00:00Z", CalendarDays(1), "2100-03-01T12:00:00Z"},
		{"from a leap day", "UTC", "2028-02-29T12:00:00Z", CalendarDays(366), "2029-03-01T12:00:00Z"},
		{"over the start of summer time: an hour less", "America/New_York", "2026-03-07T17:00:00Z", CalendarDays(1), "2026-03-08T16:00:00Z"},
		{"over its end: an hour more", "America/New_York", "2026-10-31T16:00:00Z", CalendarDays(1), "2026-11-01T17:00:00Z"},
		{"into the gap: the jump", "America/New_York", "2026-03-07T07:30:00Z", CalendarDays(1), "2026-03-08T07:00:00Z"},
		{"a time that comes twice: the first", "America/New_York", "2026-10-31T05:30:00Z", CalendarDays(1), "2026-11-01T05:30:00Z"},
		{"the second of two times: the day after, once", "America/New_York", "2026-11-01T06:30:00Z", CalendarDays(1), "2026-11-02T06:30:00Z"},
		{"half an hour's summer time", "Australia/Lord_Howe", "2026-10-02T15:45:00Z", CalendarDays(1), "2026-10-03T15:30:00Z"},
		{"a day that Samoa left out", "Pacific/Apia", "2011-12-30T01:00:00Z", CalendarDays(1), "2011-12-30T10:00:00Z"},
		{"the day in the zone counts, not UTC's", "Pacific/Auckland", "2026-12-24T12:00:00Z", BusinessDays(1), "2026-12-27T12:00:00Z"},
		{"a weekend", "Europe/London", "2026-12-11T10:00:00Z", BusinessDays(1), "2026-12-14T10:00:00Z"},
		{"from a Saturday", "Europe/London", "2026-12-12T10:00:00Z", BusinessDays(1), "2026-12-14T10:00:00Z"},
		{"over Christmas", "Europe/London", "2026-12-24T10:00:00Z", BusinessDays(1), "2026-12-29T10:00:00Z"},
		{"no days", "Europe/London", "2026-12-12T10:00:00Z", BusinessDays(0), "2026-12-12T10:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			cal := Calendar{Zone: zone(t, c.zone)}
			if c.zone == "Europe/London" {
				cal.Holidays = holidays
			}
			if c.zone == "Pacific/Auckland" {
				cal.Holidays = map[Date]bool{{2026, 12, 25}: true} // already the 25th there
			}
			if got := c.days.After(from, cal).UTC().Format(time.RFC3339); got != c.want {
				t.Errorf("%s after %s in %s is %s, want %s", c.days, c.from, c.zone, got, c.want)
			}
		})
	}
}

func TestParseDays(t *testing.T) {
	for _, s := range []string{"1 calendar day", "30 calendar days", "1 business day", "3660 business days"} {
		d, err := ParseDays(s)
		if err != nil || d.String() != s {
			t.Errorf("%q: got %v, %v", s, d, err)
		}
	}
	for _, s := range []string{"", "30", "30 days", "30days", "0 calendar days", "-1 calendar days", "+3 calendar days", "03 calendar days", "3661 calendar days", "99999999999999999999 business days", "3 working days"} {
		if _, err := ParseDays(s); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%q: got %v, want Invalid", s, err)
		}
	}
}
