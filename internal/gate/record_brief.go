package gate

import (
	"encoding/json"
	"strconv"
	"time"
)

// AddLine takes the next record as it stands in the log, which has checked
// that it is JSON. Nearly all of a log is calls, of which the state needs a few
// numbers: these are read without decoding the rest.
func (s *State) AddLine(line []byte) error {
	r, ok := brief(line)
	if !ok {
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
	}
	s.Add(r)
	return nil
}

// brief reads what State.Add looks at of a record of a call. ok is false for
// any other, and for one with something unexpected in it.
func brief(line []byte) (Record, bool) {
	var r Record
	ok := len(line) > 0 && line[0] == '{' && line[len(line)-1] == '}'
	if !ok {
		return Record{}, false
	}
	for key, v := range Fields(Value{Span{0, len(line)}, line}) {
		switch key {
		case "kind":
			kind, _ := v.Text()
			r.Kind = Kind(kind)
			ok = ok && (r.Kind == Opened || r.Kind == Ended)
		case "time":
			text, _ := v.Text()
			at, err := time.Parse(time.RFC3339Nano, text)
			r.Time, ok = at, ok && err == nil
		case "grant":
			r.Grant, _ = v.Text()
		case "call":
			r.Call, _ = v.Text()
		case "hold":
			hold, good := briefAmount(v)
			r.Hold, ok = &hold, ok && good
		case "end":
			end, good := briefEnd(v)
			r.End, ok = &end, ok && good
		case "protocol", "stream", "note":
		default:
			ok = false
		}
		if !ok {
			return Record{}, false
		}
	}
	return r, (r.Kind == Opened) == (r.Hold != nil) && (r.Kind == Ended) == (r.End != nil)
}

func briefEnd(v Value) (e End, ok bool) {
	for key, v := range Fields(v) {
		switch key {
		case "outcome":
			outcome, _ := v.Text()
			e.Outcome = Outcome(outcome)
		case "charge":
			e.Charge, ok = briefAmount(v)
		}
	}
	return e, ok && e.Outcome != SweptUp // a sweep's note is kept
}

func briefAmount(v Value) (a Amount, ok bool) {
	ok = v.Kind() == '{'
	for key, v := range Fields(v) {
		n, err := strconv.ParseInt(string(v.Raw), 10, 64)
		ok = ok && err == nil
		switch key {
		case "requests":
			a.Requests = n
		case "input":
			a.Input = n
		case "output":
			a.Output = n
		case "nano_dollars":
			a.NanoDollars = n
		default:
			ok = false
		}
	}
	return a, ok
}
