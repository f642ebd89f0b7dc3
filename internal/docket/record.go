package docket

import (
	"bytes"
	"encoding/json"
	"reflect"
	"time"

	"proofhouse/internal/proofhouse"
)

// acts are all acts, by the name that records and requests have for them.
var acts = map[string]Act{
	"open": OpenCase{}, "accept": Accept{}, "join": Join{}, "leave": Leave{}, "name-key": NameKey{},
	"offer": Offer{}, "agree": Agree{}, "ask": Ask{}, "plan": Plan{}, "lend": Lend{}, "end": End{}, "pause": PauseAccess{}, "resume": ResumeAccess{}, "move-window": MoveWindow{},
	"withdraw": Withdraw{}, "announce": Announce{}, "share": Share{}, "unshare": Unshare{},
	"register": Register{}, "countersign": Countersign{}, "start-run": StartRun{}, "finish-run": FinishRun{}, "attach": Attach{}, "cite": Cite{},
	"consult": Consult{}, "answer": Answer{}, "waive": Waive{}, "determine": Determine{}, "reconsider": Reconsider{}, "appoint": Appoint{},
	"adopt": Adopt{}, "file-report": FileReport{}, "publish-report": PublishReport{},
	"publish": Publish{}, "agree-partners": AgreePartners{}, "nominate": Nominate{}, "nominate-list": NominateList{}, "sponsor": Sponsor{}, "decline": Decline{}, "appeal": Appeal{},
	"offer-partners": OfferPartners{}, "accept-terms": AcceptTerms{},
	"seal": Seal{}, "make-part": MakePart{}, "hold": PlaceHold{}, "lift": LiftHold{}, "order": Order{}, "destroyed": Destroyed{},
}

// names are the names of acts by their kind.
var names = func() map[Kind]string {
	m := map[Kind]string{}
	for name, a := range acts {
		m[a.Kind()] = name
	}
	return m
}()

// Name is what records and requests call the act: "start-run".
func (k Kind) Name() string { return names[k] }

// ParseAct reads what an act says, under its name. Every key must be known. The
// error is proofhouse.Invalid.
func ParseAct(name string, says []byte) (Act, error) {
	a, ok := acts[name]
	if !ok {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "there is no such act")
	}
	v := reflect.New(reflect.TypeOf(a))
	d := json.NewDecoder(bytes.NewReader(says))
	d.DisallowUnknownFields()
	if err := d.Decode(v.Interface()); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "that does not say what it takes to %s", a.Kind())
	}
	if d.More() {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "something follows what it takes to %s", a.Kind())
	}
	return v.Elem().Interface().(Act), nil
}

// Record is an event as it is kept: when it was, and which it was of its case.
type Record struct {
	Case proofhouse.CaseID
	Seq  int // from 1
	At   time.Time
	// Rules is the digest of the profile. Only the first record has it.
	Rules proofhouse.Digest
	Event Event
}

// recordLine is a record as it is written.
type recordLine struct {
	Case  proofhouse.CaseID `json:"case"`
	Seq   int               `json:"seq"`
	At    time.Time         `json:"at"` // UTC, whole microseconds
	Rules proofhouse.Digest `json:"rules,omitempty"`
	By    proofhouse.Actor  `json:"by"`
	Act   string            `json:"act"`
	Says  json.RawMessage   `json:"says"`
}

// Encode is the one encoding of r.
func (r Record) Encode() ([]byte, error) {
	says, err := json.Marshal(r.Event.Act)
	if err != nil {
		return nil, err
	}
	return json.Marshal(recordLine{r.Case, r.Seq, exact(r.At), r.Rules, r.Event.By, r.Event.Act.Kind().Name(), says})
}

// ParseRecord reads Encode's encoding and no other. The error is
// proofhouse.Integrity.
func ParseRecord(b []byte) (Record, error) {
	broken := func(err error) (Record, error) {
		return Record{}, proofhouse.Errorf(proofhouse.Integrity, err, "a record of the case is not as it was written")
	}
	var line recordLine
	if err := json.Unmarshal(b, &line); err != nil {
		return broken(err)
	}
	act, err := ParseAct(line.Act, line.Says)
	if err != nil {
		return broken(err)
	}
	r := Record{line.Case, line.Seq, line.At, line.Rules, Event{line.By, act}}
	if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
		return broken(err)
	}
	return r, nil
}

// Record is the record of e, which made c what it is.
func (c Case) Record(e Event) Record {
	r := Record{Case: c.ID, Seq: c.Version, At: c.Changed, Event: e}
	if r.Seq == 1 {
		r.Rules = c.Rules.Digest
	}
	return r
}

// Replay is c after more records, each of which must be the next of the case,
// permitted, at the time that it says, and signed where it has to be. The error is
// proofhouse.Integrity and names the record.
func (c Case) Replay(records ...Record) (Case, error) {
	for _, r := range records {
		next, err := c.replay(r)
		if err != nil {
			return c, proofhouse.Errorf(proofhouse.Integrity, err, "record %d of the case does not follow from those before it", c.Version+1)
		}
		c = next
	}
	return c, nil
}

func (c Case) replay(r Record) (Case, error) {
	next, err := c.Take(r.Event, r.At)
	if err != nil {
		return c, err
	}
	if want := next.Record(r.Event); r.Case != want.Case || r.Seq != want.Seq || !r.At.Equal(want.At) || r.Rules != want.Rules {
		return c, proofhouse.Errorf(proofhouse.Integrity, nil, "it is another one")
	}
	return next, nil
}
