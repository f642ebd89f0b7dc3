package clearing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"proofhouse/internal/proofhouse"
)

// Act is something that may happen to a project's findings.
type Act interface {
	// apply changes p, which is a copy, or says why not.
	apply(p *Project, by proofhouse.Actor, now time.Time) error
}

// The acts.
type (
	// Submit brings a finding.
	Submit struct {
		ID    FindingID `json:"id"`
		Claim Claim     `json:"claim"`
		Files Files     `json:"files"`
	}
	// Withdraw takes a finding back. What was seen of it stays.
	Withdraw struct {
		Finding FindingID `json:"finding"`
	}
	// Reproduced says what an attempt saw.
	Reproduced struct {
		Finding FindingID     `json:"finding"`
		Attempt AttemptRecord `json:"attempt"` // its time is the event's
	}
	// Retry has a finding tried again that is not confirmed, after an error of ours or since the project's threat model is another now; of one that is confirmed, the patches
	// that errors of ours kept from being checked.
	Retry struct {
		Finding FindingID `json:"finding"`
		Reason  string    `json:"reason"`
	}
	// Propose brings a patch for a finding.
	Propose struct {
		ID         PatchID           `json:"id"`
		For        FindingID         `json:"for"`
		Fix        proofhouse.Digest `json:"fix"`
		Regression proofhouse.Digest `json:"regression,omitempty"`
		After      []PatchID         `json:"after,omitempty"`
	}
	// Checked says what a check of a patch saw.
	Checked struct {
		Patch  PatchID    `json:"patch"`
		Check  PatchCheck `json:"check"`
		Proofs int        `json:"proofs"`
	}
	// Troubled says that an error of ours ended a check.
	Troubled struct {
		Patch  PatchID `json:"patch"`
		Reason string  `json:"reason"`
	}
	// Compared adds cells to the matrix; a cell that is there already is replaced.
	Compared struct {
		Cells []Cell `json:"cells"`
		Parts []Part `json:"parts"`
	}
	// Decide is a person's word on whether two findings are of one bug.
	Decide struct {
		A      FindingID `json:"a"`
		B      FindingID `json:"b"`
		Same   bool      `json:"same"`
		Reason string    `json:"reason"`
	}
	// Declare is how the project wants to be told.
	Declare struct {
		Declaration Declaration `json:"declaration"`
	}
	// Make makes a packet of a cluster.
	Make struct {
		ID      PacketID          `json:"id"`
		Cluster FindingID         `json:"cluster"`
		Patch   PatchID           `json:"patch,omitempty"`
		Text    proofhouse.Digest `json:"text"`
		Archive proofhouse.Digest `json:"archive"`
	}
	// Release says that a person has sent a packet.
	Release struct {
		Packet PacketID `json:"packet"`
	}
	// Reply is what the project said to a packet: as a coordinator notes it or, where Link is set, by that link.
	Reply struct {
		Packet PacketID `json:"packet"`
		Answer Answer   `json:"answer"`
		Note   string   `json:"note,omitempty"`
		Link   LinkID   `json:"link,omitempty"`
	}
)

var acts = map[string]Act{
	"submit": Submit{}, "withdraw": Withdraw{}, "reproduced": Reproduced{}, "retry": Retry{}, "propose": Propose{}, "checked": Checked{}, "troubled": Troubled{}, "compared": Compared{},
	"decide": Decide{}, "declare": Declare{}, "make": Make{}, "release": Release{}, "reply": Reply{},
	"link": GiveLink{}, "unlink": EndLink{}, "stop": Stop{},
}

// Event is an act by somebody.
type Event struct {
	By  proofhouse.Actor
	Act Act
}

// Apply is p after an event, or says why it may not be. It is pure. What time it is never runs back.
func (p Project) Apply(e Event, now time.Time) (Project, error) {
	next := p.clone()
	if err := next.take(e, now); err != nil {
		return p, err
	}
	return next, nil
}

// take is Apply on p itself, which is of no use after an error.
func (p *Project) take(e Event, now time.Time) error {
	now = now.UTC().Truncate(time.Microsecond)
	if now.Before(p.Changed) {
		now = p.Changed
	}
	if err := permitted(e); err != nil {
		return err
	}
	if err := e.Act.apply(p, e.By, now); err != nil {
		return err
	}
	p.Version, p.Changed = p.Version+1, now
	return nil
}

// clone is p with what acts change in place copied.
func (p Project) clone() Project {
	p.Findings, p.Patches, p.Packets = slices.Clone(p.Findings), slices.Clone(p.Patches), slices.Clone(p.Packets)
	return p
}

// permitted says whether the actor may do such an act at all: what was seen is the desk's to say, and what goes out, or joins
// and parts findings, a coordinator's, who is a person. By a link nobody acts but whoever has it.
func permitted(e Event) error {
	by, coordinators := LinkID(""), false
	switch a := e.Act.(type) {
	case Reproduced, Checked, Troubled, Compared:
		if e.By != machine {
			return refused("what was seen is entered by the desk alone")
		}
	case Retry, Decide, Declare, Make, Release, GiveLink, EndLink:
		coordinators = true
	case Reply:
		by, coordinators = a.Link, a.Link == ""
	case Stop:
		if by = a.Link; by == "" {
			return errNoLink
		}
	}
	if coordinators && (e.By.Role != proofhouse.Coordinator || e.By.Person == "" || e.By == machine) {
		return refused("a coordinator does this, who is a person")
	}
	if by != "" && e.By != Maintainer(by) {
		return refused("by a link acts whoever has it")
	}
	return nil
}

func refused(format string, args ...any) error {
	return proofhouse.Errorf(proofhouse.Refused, nil, format, args...)
}

func invalid(format string, args ...any) error {
	return proofhouse.Errorf(proofhouse.Invalid, nil, format, args...)
}

// finding is one to be changed.
func (p *Project) finding(id FindingID) (*Finding, error) {
	i := slices.IndexFunc(p.Findings, func(f Finding) bool { return f.ID == id })
	if i < 0 {
		return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such finding")
	}
	return &p.Findings[i], nil
}

// maxWaiting is how many findings of one organisation may wait in one project. What is beyond it is refused, not lost: it was never taken.
const maxWaiting = 20_000

func (a Submit) apply(p *Project, by proofhouse.Actor, now time.Time) error {
	if err := a.Claim.Validate(); err != nil {
		return err
	}
	purl, err := ProjectOf(a.Claim.Purl)
	switch {
	case err != nil:
		return err
	case p.Purl != "" && p.Purl != purl:
		return invalid("the finding is of another project")
	case a.ID == "":
		return invalid("a finding has a name")
	case a.Files.Target.Validate() != nil || a.Files.Proof.Validate() != nil:
		return invalid("a finding brings a target and a proof")
	}
	waiting := 0
	for _, f := range p.Findings {
		switch {
		case f.ID == a.ID:
			return proofhouse.Errorf(proofhouse.Conflict, nil, "there is a finding of this name")
		case f.By.Organisation == by.Organisation && f.State() == Waiting:
			waiting++
		}
	}
	if waiting >= maxWaiting {
		return proofhouse.Errorf(proofhouse.Limit, nil, "%d findings of your organisation wait for this project already: send more when some of them are done", waiting)
	}
	p.Purl = purl
	p.Findings = append(p.Findings, Finding{ID: a.ID, Seq: p.Version + 1, By: by, Aware: now, Claim: a.Claim, Files: a.Files})
	return nil
}

func (a Withdraw) apply(p *Project, by proofhouse.Actor, now time.Time) error {
	f, err := p.finding(a.Finding)
	switch {
	case err != nil:
		return err
	case f.By.Organisation != by.Organisation:
		return refused("only who brought a finding takes it back")
	case !f.Withdrawn.IsZero():
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the finding is withdrawn already")
	}
	f.Withdrawn = now
	return nil
}

func (a Reproduced) apply(p *Project, _ proofhouse.Actor, now time.Time) error {
	f, err := p.finding(a.Finding)
	switch {
	case err != nil:
		return err
	case !f.Withdrawn.IsZero():
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the finding was withdrawn")
	}
	a.Attempt.At = now
	f.Attempts = append(slices.Clone(f.Attempts), a.Attempt)
	return nil
}

func (a Retry) apply(p *Project, _ proofhouse.Actor, _ time.Time) error {
	f, err := p.finding(a.Finding)
	switch {
	case err != nil:
		return err
	case a.Reason == "" || len(a.Reason) > 2000:
		return invalid("to have a finding tried again takes a reason of at most 2000 bytes")
	case f.State() != Waiting && f.State() != Withdrawn && !f.Confirmed():
		f.Retried = len(f.Attempts)
		return nil
	}
	again := false
	for i := range p.Patches {
		if q := &p.Patches[i]; f.Confirmed() && q.For == f.ID && q.Stuck() {
			q.Troubles, again = 0, true
		}
	}
	if !again {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the finding is %s: there is nothing to try again", f.State())
	}
	return nil
}

// maxPatches is how many patches one finding may have: each takes the desk minutes.
const maxPatches = 8

func (a Propose) apply(p *Project, by proofhouse.Actor, now time.Time) error {
	f, err := p.finding(a.For)
	switch {
	case err != nil:
		return err
	case a.ID == "" || a.Fix.Validate() != nil:
		return invalid("a patch has a name and a diff")
	case !f.Confirmed():
		return refused("a patch is for a finding that is confirmed")
	}
	if _, err := p.Patch(a.ID); err == nil {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "there is a patch of this name")
	}
	of := 0
	for _, q := range p.Patches {
		if q.For == a.For {
			of++
		}
	}
	if of >= maxPatches {
		return proofhouse.Errorf(proofhouse.Limit, nil, "%d patches were brought for this finding, and more are not taken", of)
	}
	for _, id := range a.After {
		if _, err := p.Patch(id); err != nil {
			return err
		}
	}
	p.Patches = append(p.Patches, Patch{ID: a.ID, Seq: p.Version + 1, For: a.For, By: by, At: now, Fix: a.Fix, Regression: a.Regression, After: a.After})
	return nil
}

func (a Checked) apply(p *Project, _ proofhouse.Actor, _ time.Time) error {
	for i := range p.Patches {
		if p.Patches[i].ID == a.Patch {
			check := a.Check
			q := &p.Patches[i]
			q.Check, q.Proofs, q.Checks, q.Troubles = &check, a.Proofs, q.Checks+1, 0
			return nil
		}
	}
	return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such patch")
}

func (a Troubled) apply(p *Project, _ proofhouse.Actor, _ time.Time) error {
	for i := range p.Patches {
		if p.Patches[i].ID == a.Patch {
			p.Patches[i].Troubles++
			return nil
		}
	}
	return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such patch")
}

func (a Compared) apply(p *Project, _ proofhouse.Actor, _ time.Time) error {
	at := map[[2]proofhouse.Digest]int{}
	cells := slices.Clone(p.Cells)
	for i, c := range cells {
		at[[2]proofhouse.Digest{c.Proof, c.Patch}] = i
	}
	for _, c := range a.Cells {
		k := [2]proofhouse.Digest{c.Proof, c.Patch}
		if i, ok := at[k]; ok {
			cells[i] = c
		} else {
			at[k] = len(cells)
			cells = append(cells, c)
		}
	}
	p.Cells, p.Parts = cells, append(slices.Clone(p.Parts), a.Parts...)
	return nil
}

func (a Decide) apply(p *Project, by proofhouse.Actor, _ time.Time) error {
	for _, id := range []FindingID{a.A, a.B} {
		f, err := p.finding(id)
		if err != nil {
			return err
		}
		if !f.Confirmed() {
			return refused("only confirmed findings are merged or kept apart")
		}
	}
	switch {
	case a.A == a.B:
		return invalid("a finding is the same as itself")
	case a.Reason == "" || len(a.Reason) > 2000:
		return invalid("to merge findings, or to keep them apart, takes a reason of at most 2000 bytes")
	}
	p.Decisions = append(slices.Clone(p.Decisions), Decision{A: a.A, B: a.B, Same: a.Same, By: string(by.Person) + "@" + string(by.Organisation), Reason: a.Reason})
	return nil
}

func (a Declare) apply(p *Project, _ proofhouse.Actor, _ time.Time) error {
	if err := a.Declaration.Validate(); err != nil {
		return err
	}
	p.Declaration, p.Stopped = a.Declaration, time.Time{}
	return nil
}

func (a Make) apply(p *Project, _ proofhouse.Actor, now time.Time) error {
	c, err := p.Cluster(a.Cluster)
	switch {
	case err != nil:
		return err
	case a.ID == "" || a.Text.Validate() != nil || a.Archive.Validate() != nil:
		return invalid("a packet has a name, a text and an archive")
	}
	for _, q := range p.Packets {
		if slices.ContainsFunc(q.Members, func(id FindingID) bool { return slices.Contains(c.Members, id) }) {
			if !q.Released.IsZero() {
				return proofhouse.Errorf(proofhouse.Conflict, nil, "a packet of this bug went out already: %s", q.ID)
			}
		}
	}
	if a.Patch != "" {
		if best, ok := p.BestPatch(c); !ok || best.ID != a.Patch {
			return refused("a packet takes the smallest verified patch, or none")
		}
	}
	p.Packets = append(p.Packets, Packet{ID: a.ID, Cluster: c.ID, Members: c.Members, Patch: a.Patch, Text: a.Text, Archive: a.Archive, Made: now})
	return nil
}

func (a Release) apply(p *Project, by proofhouse.Actor, now time.Time) error {
	i := slices.IndexFunc(p.Packets, func(q Packet) bool { return q.ID == a.Packet })
	if i < 0 {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such packet")
	}
	q := &p.Packets[i]
	if !q.Released.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the packet is out already")
	}
	c, err := p.Cluster(q.Cluster)
	if err != nil || !slices.Equal(c.Members, q.Members) {
		return proofhouse.Errorf(proofhouse.Conflict, err, "what is known of this bug has changed since: make the packet again")
	}
	for _, o := range p.Packets {
		if !o.Released.IsZero() && slices.ContainsFunc(o.Members, func(id FindingID) bool { return slices.Contains(q.Members, id) }) {
			return proofhouse.Errorf(proofhouse.Conflict, nil, "a packet of this bug went out already: %s", o.ID)
		}
	}
	if why := p.Blocked(now); why != "" {
		return refused("nothing goes out now: %s", why)
	}
	q.Released, q.By = now, by
	return nil
}

func (a Reply) apply(p *Project, _ proofhouse.Actor, now time.Time) error {
	i := slices.IndexFunc(p.Packets, func(q Packet) bool { return q.ID == a.Packet })
	switch {
	case i < 0:
		return proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such packet")
	case p.Packets[i].Released.IsZero():
		return refused("the packet has not gone out")
	case !slices.Contains(Answers, a.Answer):
		return invalid("%q is no answer: write one of %v", string(a.Answer), Answers)
	case len(a.Note) > 2000:
		return invalid("the note is longer than 2000 bytes")
	case a.Link != "" && a.Answer == NotABug && strings.TrimSpace(a.Note) == "":
		return invalid("say in a note why it is no bug: who found it learns by that")
	}
	if a.Link != "" && strings.ContainsFunc(a.Note, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return invalid("the note has characters that cannot be seen, or more than one line")
	}
	q := &p.Packets[i]
	if a.Link != "" {
		if err := q.holds(a.Link, now); err != nil {
			return err
		}
	}
	q.Answer, q.Answered, q.Note = a.Answer, now, a.Note
	return nil
}

// Record is an event as it is kept.
type Record struct {
	Purl  string
	Seq   int // from 1
	At    time.Time
	Event Event
}

type recordLine struct {
	Purl string           `json:"project"`
	Seq  int              `json:"seq"`
	At   time.Time        `json:"at"` // UTC, whole microseconds
	By   proofhouse.Actor `json:"by"`
	Act  string           `json:"act"`
	Says json.RawMessage  `json:"says"`
}

// names are the names of acts by their type.
var names = func() map[reflect.Type]string {
	m := map[reflect.Type]string{}
	for name, a := range acts {
		m[reflect.TypeOf(a)] = name
	}
	return m
}()

// NameOf is what records and requests call an act: "submit".
func NameOf(a Act) string { return names[reflect.TypeOf(a)] }

// Encode is the one encoding of r.
func (r Record) Encode() ([]byte, error) {
	says, err := json.Marshal(r.Event.Act)
	if err != nil {
		return nil, err
	}
	return json.Marshal(recordLine{r.Purl, r.Seq, r.At, r.Event.By, NameOf(r.Event.Act), says})
}

// ParseRecord reads Encode's encoding and no other. The error is proofhouse.Integrity.
func ParseRecord(b []byte) (Record, error) {
	broken := func(err error) (Record, error) {
		return Record{}, proofhouse.Errorf(proofhouse.Integrity, err, "a record of the project is not as it was written")
	}
	var line recordLine
	if err := json.Unmarshal(b, &line); err != nil {
		return broken(err)
	}
	kind, ok := acts[line.Act]
	if !ok {
		return broken(fmt.Errorf("no act %q", line.Act))
	}
	v := reflect.New(reflect.TypeOf(kind))
	if err := json.Unmarshal(line.Says, v.Interface()); err != nil {
		return broken(err)
	}
	r := Record{line.Purl, line.Seq, line.At, Event{line.By, v.Elem().Interface().(Act)}}
	if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
		return broken(err)
	}
	return r, nil
}

// Record is the record of e, which made p what it is.
func (p Project) Record(e Event) Record {
	return Record{Purl: p.Purl, Seq: p.Version, At: p.Changed, Event: e}
}

// Replay is p after more records, each of which must be the next and permitted. The error is
// proofhouse.Integrity and names the record.
func (p Project) Replay(records ...Record) (Project, error) {
	next := p.clone()
	for _, r := range records {
		seq := next.Version + 1
		err := next.take(r.Event, r.At)
		if err == nil && (next.Version != r.Seq || !next.Changed.Equal(r.At) || next.Purl != r.Purl) {
			err = fmt.Errorf("it is another one")
		}
		if err != nil {
			return p, proofhouse.Errorf(proofhouse.Integrity, err, "record %d of the project does not follow from those before it", seq)
		}
	}
	return next, nil
}

// Names is the name that an act gives to something new, and what that is: "finding", "patch", "packet" or "link"; "" for other acts.
func Names(a Act) (id, kind string) {
	switch a := a.(type) {
	case Submit:
		return string(a.ID), "finding"
	case Propose:
		return string(a.ID), "patch"
	case Make:
		return string(a.ID), "packet"
	case GiveLink:
		return string(a.ID), "link"
	}
	return "", ""
}
