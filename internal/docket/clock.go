package docket

import (
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// Calendar says where days begin and which of them count as business days. The
// zero value is UTC with Saturdays and Sundays off.
type Calendar struct {
	// Zone is where clocks on the wall are read; nil is UTC.
	Zone *time.Location
	// Holidays are days off besides Saturdays and Sundays.
	Holidays map[Date]bool
}

// Date is a day of the Gregorian calendar.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// String is the date as 2026-12-31.
func (d Date) String() string { return d.utc().Format(time.DateOnly) }

func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// Days is a length of time in whole days of one kind, so that the two kinds
// cannot be confused.
type Days interface {
	// After is the instant that many days after t, at the same time on the wall
	// in the calendar's zone. Where that time comes twice it is the first; where
	// the wall clock jumps over it, the jump. So nothing lasts longer than said.
	After(t time.Time, c Calendar) time.Time
	// String is what ParseDays reads.
	String() string
	count() int
}

// CalendarDays counts every day.
type CalendarDays int

// BusinessDays counts from the day after the start, and only days that are
// neither weekend nor holiday.
type BusinessDays int

// After implements Days.
func (n CalendarDays) After(t time.Time, c Calendar) time.Time {
	if n <= 0 {
		return t
	}
	wall := t.In(c.zone())
	return c.instant(time.Date(wall.Year(), wall.Month(), wall.Day()+int(n), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC))
}

// After implements Days.
func (n BusinessDays) After(t time.Time, c Calendar) time.Time {
	if n <= 0 {
		return t
	}
	wall := t.In(c.zone())
	day := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
	for left := n; left > 0; {
		if day = day.AddDate(0, 0, 1); c.Business(Date{day.Year(), day.Month(), day.Day()}) {
			left--
		}
	}
	return c.instant(day)
}

// Business says whether d is a business day.
func (c Calendar) Business(d Date) bool {
	w := d.utc().Weekday()
	return w != time.Saturday && w != time.Sunday && !c.Holidays[d]
}

func (c Calendar) zone() *time.Location {
	if c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

// instant is when the clock on the wall shows what wall would be in UTC.
// time.Date does not say which of two instants it takes, nor which side of a
// gap; so the zone's offsets are tried in the order of time.
func (c Calendar) instant(wall time.Time) time.Time {
	const widest = 26 * time.Hour // no two offsets differ by more
	for t := wall.Add(-widest).In(c.zone()); ; {
		start, end := t.ZoneBounds()
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second).In(c.zone())
		switch {
		case !start.IsZero() && at.Before(start):
			return start
		case end.IsZero() || at.Before(end):
			return at
		}
		t = end
	}
}

// maxDays bounds every length of time in days.
const maxDays = 3660

// ParseDays reads "30 calendar days" or "10 business days". The error is
// proofhouse.Invalid.
func ParseDays(s string) (Days, error) {
	number, kind, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxDays || strconv.Itoa(n) != number {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, `%q is no number of days: write "30 calendar days" or "10 business days", from 1 to %d`, s, maxDays)
	}
	switch strings.TrimSuffix(kind, "s") {
	case "calendar day":
		return CalendarDays(n), nil
	case "business day":
		return BusinessDays(n), nil
	}
	return nil, proofhouse.Errorf(proofhouse.Invalid, nil, `%q does not say which days: write "%d calendar days" or "%d business days"`, s, n, n)
}

// String implements Days.
func (n CalendarDays) String() string { return days(int(n), "calendar") }

// String implements Days.
func (n BusinessDays) String() string { return days(int(n), "business") }

func (n CalendarDays) count() int { return int(n) }
func (n BusinessDays) count() int { return int(n) }

func days(n int, kind string) string {
	if n == 1 {
		return "1 " + kind + " day"
	}
	return strconv.Itoa(n) + " " + kind + " days"
}
