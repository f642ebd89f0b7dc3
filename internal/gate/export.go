package gate

import (
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Exported is one event of a gate as a partner's own audit gets it: metadata
// only, under the names of otel.go. It never holds the upstream's name or
// address, the model's real name or any key.
type Exported struct {
	Time  time.Time
	Kind  Kind
	Attrs []Attribute // in a fixed order, each name once
}

// Attribute is a named value: a string, an int64, a float64, a bool or a []string.
type Attribute struct {
	Name  string
	Value any
}

// ExportFilter says what of a record is exported: what all that are set match.
type ExportFilter struct {
	Since                time.Time // the zero time is all of it
	Grant, Case, Subject string
	// Secrets are masked in what people wrote, like the names that the grants tell.
	Secrets []string
}

func (f ExportFilter) matches(g Grant) bool {
	return (f.Grant == "" || f.Grant == g.ID) && (f.Case == "" || f.Case == g.Case) && (f.Subject == "" || f.Subject == g.Subject)
}

// Exporter makes events of a record. It belongs to one goroutine.
type Exporter struct {
	filter  ExportFilter
	grants  map[string]Grant // that the filter matches
	streams map[string]bool  // calls under way that are streams
	others  map[string]bool  // suspensions that touch no grant that is exported
	hide    *secrets
}

// NewExporter exports what filter says of a record that has these grants, all
// of them: what one says in words may name another's model.
func NewExporter(filter ExportFilter, grants []Grant) *Exporter {
	x := &Exporter{filter: filter, grants: map[string]Grant{}, streams: map[string]bool{}, others: map[string]bool{}, hide: &secrets{code: "(masked)"}}
	for _, g := range grants {
		up := Upstream{Base: &url.URL{}, Secrets: append([]string{g.Upstream}, filter.Secrets...)}
		if base, err := url.Parse(g.Upstream); err == nil {
			up.Base = base
		}
		x.hide.merge(newSecrets(g.Model, x.hide.code, up))
		if filter.matches(g) {
			x.grants[g.ID] = g
		}
	}
	return x
}

// Empty says that the filter matches no grant.
func (x *Exporter) Empty() bool { return len(x.grants) == 0 }

// Add takes the records in their order and gives the event of one, if it has one.
func (x *Exporter) Add(r Record) (e Exported, ok bool) {
	g, mine := x.grants[r.Grant]
	if r.Kind == Opened && mine && r.Stream {
		x.streams[r.Call] = true
	}
	stream := x.streams[r.Call]
	if r.Kind == Ended {
		delete(x.streams, r.Call)
	}
	if _, known := exported[r.Kind]; !known || !mine && r.Suspension == nil {
		return e, false
	}
	a := attributes{hide: x.hide}
	switch r.Kind {
	case Granted:
		a.grant(g)
		a.terms(g)
	case Ended:
		a.text(otelCall, r.Call)
		a.grant(g)
		a.call(r, stream)
		if r.End.Charge.NanoDollars > 0 {
			a.text(otelPrices, g.Rates.Version)
		}
		a.free(otelReason, r.Note)
	case RevokedGrant:
		a.grant(g)
		a.free(otelReason, r.Note)
	case Unaccounted:
		a.grant(g)
		a.charge(*r.Hold)
		a.free(otelReason, r.Note)
	case Denied:
		a.grant(g)
		a.text(otelProtocol, r.Protocol)
		a.free(otelPolicy, r.Decision.Policy)
		a.free(otelReason, r.Decision.Reason)
	case SuspendedCalls, ResumedCalls:
		if r.Kind == SuspendedCalls && !x.concerned(*r.Suspension) {
			x.others[r.Suspension.ID] = true
		}
		if x.others[r.Suspension.ID] {
			return e, false
		}
		a.suspension(*r.Suspension)
		if r.Suspension.Reason == "" {
			a.free(otelReason, r.Note)
		}
	default:
		return e, false
	}
	return Exported{Time: r.Time, Kind: r.Kind, Attrs: a.all}, !r.Time.Before(x.filter.Since)
}

// concerned says whether a suspension can have touched a grant that is exported:
// those of others may name others.
func (x *Exporter) concerned(s Suspension) bool {
	for _, g := range x.grants {
		if (s.Grant == "" || s.Grant == g.ID) && (s.Case == "" || s.Case == g.Case) && (s.Subject == "" || s.Subject == g.Subject) {
			return true
		}
	}
	return false
}

// attributes gathers those of one event.
type attributes struct {
	all  []Attribute
	hide *secrets
}

func (a *attributes) put(name string, v any) { a.all = append(a.all, Attribute{name, v}) }

func (a *attributes) text(name, s string) {
	if s != "" {
		a.put(name, s)
	}
}

// free is text that a person wrote, who may have named what is secret.
func (a *attributes) free(name, s string) { a.text(name, string(a.hide.mask([]byte(s)))) }

// count is a number that says nothing when it is 0.
func (a *attributes) count(name string, n int64) {
	if n != 0 {
		a.put(name, n)
	}
}

func (a *attributes) list(name string, l []string) {
	if len(l) > 0 {
		a.put(name, l)
	}
}

func (a *attributes) grant(g Grant) {
	a.text(otelGrant, g.ID)
	a.text(otelSubject, g.Subject)
	a.text(otelCase, g.Case)
	a.text(otelModel, g.Codename)
	a.free(otelVariant, g.Variant)
}

func (a *attributes) terms(g Grant) {
	a.list(otelProtocols, g.Protocols)
	a.text(otelFrom, g.From.UTC().Format(time.RFC3339))
	a.text(otelUntil, g.Until.UTC().Format(time.RFC3339))
	a.count(otelMaxRequests, g.Limits.Requests)
	a.count(otelMaxInput, g.Limits.Input)
	a.count(otelMaxOutput, g.Limits.Output)
	a.count(otelMaxNanoDollars, g.Limits.NanoDollars)
	a.count(otelMaxStreams, int64(g.Limits.Streams))
	a.count(otelMaxPerMinute, int64(g.Limits.PerMinute))
	a.count(otelOutputCap, g.Limits.OutputCap)
	a.text(otelPrices, g.Rates.Version)
	if g.ByReference {
		a.put(otelByReference, true)
	}
	recording := string(g.Recording)
	if g.Recording == RecordMetadata {
		recording = "metadata"
	}
	a.text(otelRecording, recording)
	var guards []string
	for _, s := range g.Safeguards {
		guards = append(guards, string(a.hide.mask([]byte(s.Guard))))
	}
	a.list(otelGuards, guards)
	a.text(otelIssuer, g.Issuer)
	a.free(otelReason, g.Reason)
}

func (a *attributes) call(r Record, stream bool) {
	e := r.End
	a.text(otelProtocol, r.Protocol)
	if r.Protocol != "" { // a grant that is recorded as none says nothing of the call
		operation := otelChat
		if e.Outcome == Counted {
			operation = otelCountTokens
		}
		a.text(otelOperation, operation)
		a.put(otelStream, stream)
	}
	if u := e.Usage; e.Outcome == Metered && r.Protocol != "" || u.In() != 0 || u.Output != 0 {
		a.put(otelInput, u.In())
		a.count(otelCacheRead, u.CacheRead)
		a.count(otelCacheWrite, u.CacheWrite)
		a.count(otelCacheWrite1h, u.CacheWrite1h)
		a.put(otelOutput, u.Output)
		a.count(otelReasoning, u.Reasoning)
	}
	if e.Whole > 0 {
		a.put(otelDuration, seconds(float64(e.Whole)))
	}
	if stream && e.First > 0 {
		a.put(otelFirstToken, seconds(float64(e.First)))
		if e.Outcome == Metered && e.Usage.Output > 1 && e.Whole >= e.First {
			a.put(otelPerToken, seconds(float64(e.Whole-e.First)/float64(e.Usage.Output-1)))
		}
	}
	a.count(otelStatus, int64(e.Status))
	a.count(otelUpstreamStatus, int64(e.upstreamStatus()))
	switch e.Outcome {
	case Failed:
		if status := e.upstreamStatus(); status != 0 {
			a.text(otelError, strconv.Itoa(status))
		} else {
			a.text(otelError, string(e.Outcome))
		}
	case Cut, Unsent, SweptUp:
		a.text(otelError, string(e.Outcome))
	case Metered, Unmetered, Counted:
	}
	a.text(otelOutcome, string(e.Outcome))
	a.charge(e.Charge)
	a.count(otelRequestBytes, e.Sent)
	a.text(otelRequestDigest, e.Request)
	a.count(otelAnswerBytes, e.Seen)
	a.text(otelAnswerDigest, e.Answer)
	a.text(otelKept, string(e.Kept))
	var named int64
	for _, n := range e.Named {
		named = add(named, n)
	}
	a.count(otelNamed, named)
	var judged []string
	for _, j := range e.Judged {
		judged = append(judged, string(a.hide.mask([]byte(j.Guard)))+" "+string(j.Stage)+" "+string(j.Action))
	}
	a.list(otelJudged, judged)
}

// upstreamStatus is what the upstream answered with, or 0 if it is not known to have answered.
func (e *End) upstreamStatus() int {
	if e.Upstream != 0 || e.Outcome == Cut || e.Outcome == Unsent || e.Outcome == SweptUp {
		return e.Upstream
	}
	return e.Status
}

func (a *attributes) charge(c Amount) {
	a.put(otelChargedRequests, c.Requests)
	a.put(otelChargedInput, c.Input)
	a.put(otelChargedOutput, c.Output)
	a.put(otelChargedNanoDollars, c.NanoDollars)
}

func (a *attributes) suspension(s Suspension) {
	a.text(otelSuspension, s.ID)
	a.free(otelTool, s.Tool)
	a.text(otelOfProtocol, s.Protocol)
	a.text(otelClass, string(s.Class))
	a.text(otelOfGrant, s.Grant)
	a.text(otelOfCase, s.Case)
	a.text(otelOfSubject, s.Subject)
	a.free(otelReason, s.Reason)
}

// seconds are microseconds as seconds, to the nanosecond.
func seconds(micro float64) float64 { return math.Round(micro*1e3) / 1e9 }

// JSON appends the event as one line: time, event and attributes.
func (e Exported) JSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","event":"proofhouse.gate.`+exported[e.Kind].name+`","attributes":{`...)
	for i, a := range e.Attrs {
		if i > 0 {
			b = append(b, ',')
		}
		v, _ := json.Marshal(a.Value) // of the types that Attribute names, none fails
		b = append(append(strconv.AppendQuote(b, a.Name), ':'), v...)
	}
	return append(b, "}}\n"...)
}

// merge takes the words of t into s.
func (s *secrets) merge(t *secrets) {
	for _, w := range t.words {
		if !slices.ContainsFunc(s.words, func(have secret) bool { return string(have.word) == string(w.word) }) {
			s.words = append(s.words, w)
		}
	}
	for i := range t.begins {
		s.begins[i] = s.begins[i] || t.begins[i]
	}
	slices.SortStableFunc(s.words, func(a, b secret) int { return len(b.word) - len(a.word) })
	s.longest = max(s.longest, t.longest)
}
