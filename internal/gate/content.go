package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"proofhouse/internal/proofhouse"
)

// Recording is how much of its calls a grant lets the gate keep. Content is
// kept sealed or not at all.
type Recording string

// The recordings.
const (
	RecordMetadata Recording = ""       // digests, sizes, times and usage; no content
	RecordSealed   Recording = "sealed" // and the bodies, as the caller sent and saw them, sealed
	RecordNone     Recording = "none"   // what the account needs, and nothing else
)

// validate says whether there is such a recording.
func (r Recording) validate() error {
	switch r {
	case RecordMetadata, RecordSealed, RecordNone:
		return nil
	}
	return proofhouse.Errorf(proofhouse.Invalid, nil, "there is no recording %q: a grant is recorded as metadata only (\"\"), sealed or none", r)
}

// Kept is what was sealed of a call's content.
type Kept string

// What was sealed.
const (
	KeptRequest Kept = "request" // there was no answer
	KeptBoth    Kept = "both"
	KeptNot     Kept = "request, answer lost" // the caller saw some of an answer that could not be sealed whole
)

// ContentCompartment is the compartment that a grant's content is sealed in:
// its case's, if it has one, so that a case's content can be shredded as one.
func ContentCompartment(g Grant) string {
	of := "case " + g.Case
	if g.Case == "" {
		of = "grant " + g.ID
	}
	sum := sha256.Sum256([]byte(of))
	return "content-" + hex.EncodeToString(sum[:10])
}

// RequestPart and AnswerPart are the names under which a call's bodies are
// sealed in its compartment.
func RequestPart(call string) string { return call + ".request" }

// AnswerPart is the answer's; see RequestPart.
func AnswerPart(call string) string { return call + ".answer" }

// provide makes the compartment that a grant needs.
func (g *Gate) provide(grant Grant) error {
	if grant.Recording != RecordSealed {
		return nil
	}
	compartment := ContentCompartment(grant)
	err := g.cfg.Vault.Create(compartment)
	if proofhouse.KindOf(err) != proofhouse.Conflict {
		return err
	}
	if !g.cfg.Vault.Has(compartment) {
		return proofhouse.Errorf(proofhouse.Conflict, err, "the content of this case was shredded: nothing more can be recorded in it")
	}
	return nil
}

// keepRequest seals what the caller sent, durably, and makes ready for the
// answer. A call that cannot be recorded as its grant says does not begin.
func (c *call) keepRequest(body []byte) *Refusal {
	grant := &c.tenancy.grant
	if grant.Recording != RecordSealed {
		return nil
	}
	compartment := ContentCompartment(*grant)
	request, err := c.gate.cfg.Vault.Seal(compartment, RequestPart(c.id))
	if err == nil {
		if _, err = request.Write(body); err == nil {
			err = request.Commit()
		} else {
			request.Abort()
		}
	}
	if err == nil {
		c.end.Kept = KeptRequest
		c.answerCopy, err = c.gate.cfg.Vault.Seal(compartment, AnswerPart(c.id))
	}
	if err != nil {
		c.end.Outcome = Unsent
		return c.unrecorded(err)
	}
	return nil
}

// seen counts and seals what the caller is about to see. What cannot be
// sealed, it must not see.
func (c *call) seen(b []byte) *Refusal {
	if c.answerCopy != nil {
		if _, err := c.answerCopy.Write(b); err != nil {
			return c.dropAnswer(err)
		}
	}
	c.sum.Write(b)
	c.end.Seen += int64(len(b))
	return nil
}

// finish makes the answer's sealed copy durable.
func (c *call) finish() *Refusal {
	if c.answerCopy == nil {
		return nil
	}
	if c.end.Seen == 0 {
		c.forget()
		return nil
	}
	if err := c.answerCopy.Commit(); err != nil {
		return c.dropAnswer(err)
	}
	c.answerCopy, c.end.Kept = nil, KeptBoth
	return nil
}

// forget lets go of an answer's copy.
func (c *call) forget() {
	if c.answerCopy != nil {
		c.answerCopy.Abort()
		c.answerCopy = nil
	}
}

// dropAnswer is for an answer that cannot be sealed.
func (c *call) dropAnswer(err error) *Refusal {
	c.forget()
	if c.begun {
		c.end.Kept = KeptNot
	} else { // the caller sees nothing of it
		c.sum.Reset()
		c.end.Seen = 0
	}
	return c.unrecorded(err)
}

func (c *call) unrecorded(err error) *Refusal {
	slog.Error("content cannot be sealed", slog.String("call", c.id), slog.Any("err", err))
	no := refuse(Unrecorded, "what is said with this key is recorded, and that is not possible now: try again later")
	if !c.begun {
		c.end.Status = no.Status()
	}
	return no
}

// trim leaves of an end what the grant's recording allows.
func (e End) trim(r Recording) End {
	if r == RecordNone {
		return End{Outcome: e.Outcome, Charge: e.Charge}
	}
	return e
}

// openedRecord is what the record says of a call before the upstream hears of it.
func (c *call) openedRecord(asked Call) Record {
	r := Record{Kind: Opened, Time: c.began, Grant: c.tenancy.grant.ID, Call: c.id, Hold: &c.flow.hold}
	if c.tenancy.grant.Recording != RecordNone {
		r.Protocol, r.Stream = c.protocol.Name(), asked.Stream
	}
	return r
}

// endedRecord is what it says afterwards.
func (c *call) endedRecord(now time.Time) Record {
	end := c.end.trim(c.tenancy.grant.Recording)
	r := Record{Kind: Ended, Time: now, Grant: c.tenancy.grant.ID, Call: c.id, End: &end, Note: c.note}
	if c.tenancy.grant.Recording != RecordNone {
		r.Protocol = c.protocol.Name()
	}
	return r
}
