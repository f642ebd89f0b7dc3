package docket

import "time"

// This file counts days in another way than the package: by hand, day by day,
// with its own leap years, weekdays and summer times, and nothing of package time
// but the number of seconds.

// slowZone is a zone by the rules that its country has now.
type slowZone struct {
	name     string
	standard int64 // seconds east of Greenwich
	summer   string
	changes  [150][2]int64 // by years since 1970
}

var slowZones = func() []*slowZone {
	all := []*slowZone{
		{name: "UTC"},
		{name: "America/New_York", standard: -5 * 3600, summer: "us"},
		{name: "Europe/London", summer: "eu"},
		{name: "Europe/Berlin", standard: 3600, summer: "eu"},
		{name: "Australia/Sydney", standard: 10 * 3600, summer: "au"},
		{name: "Asia/Kolkata", standard: 5*3600 + 1800},
	}
	for _, z := range all {
		for i := range z.changes {
			z.changes[i] = z.change(1970 + i)
		}
	}
	return all
}()

type slowDate struct{ year, month, day int }

func slowMonth(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && y%100 != 0 || y%400 == 0 {
			return 29
		}
		return 28
	}
	return 31
}

func (d slowDate) next() slowDate {
	if d.day++; d.day > slowMonth(d.year, d.month) {
		d.day = 1
		if d.month++; d.month > 12 {
			d.month = 1
			d.year++
		}
	}
	return d
}

// number is how many days d is after 1 January 1970.
func (d slowDate) number() int64 {
	n := slowYears[d.year-1970] + int64(d.day-1)
	for m := 1; m < d.month; m++ {
		n += int64(slowMonth(d.year, m))
	}
	return n
}

// slowYears are the days before each year since 1970.
var slowYears = func() (days [200]int64) {
	for i := 1; i < len(days); i++ {
		days[i] = days[i-1] + 365
		if slowMonth(1970+i-1, 2) == 29 {
			days[i]++
		}
	}
	return days
}()

func slowDateOf(number int64) slowDate {
	d := slowDate{1970, 1, 1}
	for slowYears[d.year-1970+1] <= number {
		d.year++
	}
	number -= slowYears[d.year-1970]
	for number >= int64(slowMonth(d.year, d.month)) {
		number -= int64(slowMonth(d.year, d.month))
		d.month++
	}
	d.day += int(number)
	return d
}

// weekday is 0 for Sunday; 1 January 1970 was a Thursday.
func (d slowDate) weekday() int { return int((d.number() + 4) % 7) }

// sunday is the nth Sunday of a month, or the last for 0, as a day number.
func slowSunday(y, m, nth int) int64 {
	var last int64
	for d, i := (slowDate{y, m, 1}), 0; d.month == m; d = d.next() {
		if d.weekday() == 0 {
			last = d.number()
			if i++; i == nth {
				return last
			}
		}
	}
	return last
}

func (z *slowZone) offset(unix int64) int64 {
	if z.summer == "" {
		return z.standard
	}
	c := z.changes[slowDateOf(unix/86400).year-1970]
	// South of the equator it is the winter that lies in the middle of the year.
	if in := unix >= c[0] && unix < c[1]; in != (z.summer == "au") {
		return z.standard + 3600
	}
	return z.standard
}

// change is when the clocks change in year y.
func (z *slowZone) change(y int) [2]int64 {
	switch z.summer {
	case "us": // from 2:00 standard time to 2:00 summer time
		return [2]int64{slowSunday(y, 3, 2)*86400 + 2*3600 - z.standard, slowSunday(y, 11, 1)*86400 + 3600 - z.standard}
	case "eu": // at 1:00 in Greenwich, everywhere
		return [2]int64{slowSunday(y, 3, 0)*86400 + 3600, slowSunday(y, 10, 0)*86400 + 3600}
	case "au": // both at 2:00 standard time
		return [2]int64{slowSunday(y, 4, 1)*86400 + 2*3600 - z.standard, slowSunday(y, 10, 1)*86400 + 2*3600 - z.standard}
	}
	return [2]int64{}
}

// instant is when the wall clock shows wall, in seconds.
func (z *slowZone) instant(wall int64) int64 {
	for _, offset := range []int64{z.standard + 3600, z.standard} {
		if z.offset(wall-offset) == offset {
			return wall - offset
		}
	}
	at := wall - z.standard - 4*3600
	at -= at % 60 // changes are at whole minutes
	for z.offset(at) == z.offset(at+60) {
		at += 60
	}
	return at + 60
}

// slowAfter is what Days.After says, of whole seconds.
func slowAfter(from time.Time, days Days, z *slowZone, holidays map[slowDate]bool) time.Time {
	unix := from.Unix()
	wall := unix + z.offset(unix)
	d, clock := slowDateOf(wall/86400), wall%86400
	_, business := days.(BusinessDays)
	for left := days.count(); left > 0; {
		d = d.next()
		if business && (d.weekday() == 0 || d.weekday() == 6 || holidays[d]) {
			continue
		}
		left--
	}
	return time.Unix(z.instant(d.number()*86400+clock), 0).UTC()
}
