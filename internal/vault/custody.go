package vault

import (
	"maps"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Term is how long an artifact is kept.
type Term struct {
	// Keep is the time before which it must not be destroyed.
	Keep time.Time `json:"keep"`
	// End is when it is due for destruction; the zero time is never. It is not
	// before Keep.
	End time.Time `json:"end"`
}

// Hold keeps artifacts whatever their terms say, until it is released.
type Hold struct {
	ID string `json:"id"`
	// Artifacts are those that it keeps; none are all of the compartment, those
	// that are sealed later too.
	Artifacts []proofhouse.Digest `json:"artifacts,omitempty"`
}

// CustodyEvent is a decision on how long artifacts are kept; exactly one of
// its last three fields is set. Whoever keeps the record of a case keeps these with
// it: who decided, and why, is in each.
type CustodyEvent struct {
	At     time.Time        `json:"at"`
	Actor  proofhouse.Actor `json:"actor"`
	Reason string           `json:"reason"`

	Retain  *Retention `json:"retain,omitempty"`
	Hold    *Hold      `json:"hold,omitempty"`
	Release string     `json:"release,omitempty"` // the ID of a hold
}

// Retention gives an artifact its term, or a longer one.
type Retention struct {
	Artifact proofhouse.Digest `json:"artifact"`
	Term     Term              `json:"term"`
}

// Custody is how long the artifacts of a compartment are kept, by the events
// so far. The zero value knows of none. It is never changed.
type Custody struct {
	terms map[proofhouse.Digest]Term
	holds map[string]Hold // that are not released
	past  map[string]bool // IDs of all holds that there ever were
}

// maxReason bounds a reason, in bytes.
const maxReason = 4000

// Apply is the custody after an event. An event that says too little is
// proofhouse.Invalid, one that does not fit what was before proofhouse.Conflict,
// and one that would make a term shorter proofhouse.Refused.
func (c Custody) Apply(e CustodyEvent) (Custody, error) {
	invalid := func(what string) (Custody, error) {
		return c, proofhouse.Errorf(proofhouse.Invalid, nil, "%s", what)
	}
	set := 0
	for _, there := range []bool{e.Retain != nil, e.Hold != nil, e.Release != ""} {
		if there {
			set++
		}
	}
	switch {
	case set != 1:
		return invalid("a decision on custody is one of three: a term, a hold, or the release of a hold")
	case e.At.IsZero() || e.Actor.Organisation == "" || e.Actor.Person == "":
		return invalid("a decision on custody says when it was and whose it is")
	case e.Reason == "" || len(e.Reason) > maxReason:
		return invalid("a decision on custody has a reason of up to 4000 bytes")
	}
	switch {
	case e.Retain != nil:
		return c.retain(*e.Retain)
	case e.Hold != nil:
		h := *e.Hold
		if checkName(h.ID) != nil {
			return invalid("a hold's name has up to 80 letters, digits, dots, underscores and hyphens, and begins with a letter or digit")
		}
		if c.past[h.ID] {
			return c, proofhouse.Errorf(proofhouse.Conflict, nil, "there is, or was, a hold of that name: choose another")
		}
		for _, id := range h.Artifacts {
			if err := id.Validate(); err != nil {
				return c, err
			}
		}
		h.Artifacts = slices.Clone(h.Artifacts)
		c.holds, c.past = with(c.holds, h.ID, h), with(c.past, h.ID, true)
		return c, nil
	}
	if _, there := c.holds[e.Release]; !there {
		return c, proofhouse.Errorf(proofhouse.Conflict, nil, "there is no hold of that name that could be released")
	}
	c.holds = maps.Clone(c.holds)
	delete(c.holds, e.Release)
	return c, nil
}

func (c Custody) retain(r Retention) (Custody, error) {
	if err := r.Artifact.Validate(); err != nil {
		return c, err
	}
	before, had := c.terms[r.Artifact]
	switch t := r.Term; {
	case !t.End.IsZero() && t.End.Before(t.Keep):
		return c, proofhouse.Errorf(proofhouse.Invalid, nil, "a term does not end before the time until which it keeps")
	case had && t.Keep.Before(before.Keep):
		return c, proofhouse.Errorf(proofhouse.Refused, nil, "an artifact that must be kept until %s is not kept for less: terms grow", before.Keep.UTC().Format(time.RFC3339))
	}
	c.terms = with(c.terms, r.Artifact, r.Term)
	return c, nil
}

// with is a copy of m with one more entry.
func with[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	out := maps.Clone(m)
	if out == nil {
		out = map[K]V{}
	}
	out[k] = v
	return out
}

// Standing is what may be done with an artifact.
type Standing string

// The standings.
const (
	MustKeep   Standing = "must be kept"
	MayDestroy Standing = "may be destroyed"
	Due        Standing = "is due for destruction"
)

// Standing says what may be done with an artifact at a time. A hold goes
// before every term, and an artifact that nobody gave a term is kept.
func (c Custody) Standing(id proofhouse.Digest, now time.Time) Standing {
	if len(c.Holding(id)) > 0 {
		return MustKeep
	}
	t, ok := c.terms[id]
	switch {
	case !ok || now.Before(t.Keep):
		return MustKeep
	case t.End.IsZero() || now.Before(t.End):
		return MayDestroy
	}
	return Due
}

// Holding are the names of the holds that keep an artifact, in order.
func (c Custody) Holding(id proofhouse.Digest) []string {
	var names []string
	for name, h := range c.holds {
		if len(h.Artifacts) == 0 || slices.Contains(h.Artifacts, id) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Sweep gives those of the artifacts that are due at a time, in the order given.
func (c Custody) Sweep(ids []proofhouse.Digest, now time.Time) []proofhouse.Digest {
	return slices.DeleteFunc(slices.Clone(ids), func(id proofhouse.Digest) bool { return c.Standing(id, now) != Due })
}
