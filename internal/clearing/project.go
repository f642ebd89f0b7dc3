package clearing

import (
	"cmp"
	"slices"
	"time"

	"proofhouse/internal/proofhouse"
)

// Project is all that the house knows of one project's findings. Projects are values: Apply gives a new one and leaves the old as it was.
type Project struct {
	Purl string `json:"purl"` // without a version
	// Version counts the events, and Changed is when the last was. The time of a project never runs back.
	Version int       `json:"version"`
	Changed time.Time `json:"changed"`

	Declaration Declaration `json:"declaration"`
	Findings    []Finding   `json:"findings"` // in the order in which they came
	Patches     []Patch     `json:"patches"`
	// Cells are the matrix so far: of confirmed proofs and the minimal parts of patches.
	Cells []Cell `json:"cells"`
	// Parts are the least of a patch that stops each proof.
	Parts     []Part     `json:"parts"`
	Decisions []Decision `json:"decisions"`
	Packets   []Packet   `json:"packets"`
	// Stopped is when the project's people said by a link that they want no more; zero if they did not, or declared anew since.
	Stopped time.Time `json:"stopped,omitzero"`
}

// PatchID names a candidate: "patch-" and random letters.
type PatchID string

// NewPatchID is a fresh name.
func NewPatchID() PatchID { return PatchID("patch-" + proofhouse.Token(10)) }

// Patch is a candidate and what became of it.
type Patch struct {
	ID         PatchID           `json:"id"`
	Seq        int               `json:"seq"` // of the event that brought it
	For        FindingID         `json:"for"` // the finding that it was brought with
	By         proofhouse.Actor  `json:"by"`
	At         time.Time         `json:"at"`
	Fix        proofhouse.Digest `json:"fix"`
	Regression proofhouse.Digest `json:"regression,omitempty"`
	// After are patches that it is made on top of.
	After []PatchID `json:"after,omitempty"`
	// Check is the last; nil before the first.
	Check *PatchCheck `json:"check,omitempty"`
	// Proofs are how many proofs of the cluster it was held to.
	Proofs int `json:"proofs,omitempty"`
	// Checks are how many checks there were, and Troubles how many errors of ours there were since the last.
	Checks   int `json:"checks,omitempty"`
	Troubles int `json:"troubles,omitempty"`
}

// Stuck says that errors of ours kept the patch from being checked, and a person has to look (Retry).
func (q Patch) Stuck() bool { return q.Troubles >= maxAttempts }

// Answer is what a project said to a packet.
type Answer string

// The answers. Acknowledged leaves the packet open.
const (
	Acknowledged Answer = "acknowledged"
	Accepted     Answer = "accepted"
	Fixed        Answer = "fixed"
	Duplicate    Answer = "duplicate"
	NotABug      Answer = "not a bug"
	WontFix      Answer = "will not fix"
)

// Answers are all of them.
var Answers = []Answer{Acknowledged, Accepted, Fixed, Duplicate, NotABug, WontFix}

// PacketID names a packet: "packet-" and random letters.
type PacketID string

// NewPacketID is a fresh name.
func NewPacketID() PacketID { return PacketID("packet-" + proofhouse.Token(10)) }

// Packet is what a maintainer gets of one bug.
type Packet struct {
	ID      PacketID    `json:"id"`
	Cluster FindingID   `json:"cluster"`
	Members []FindingID `json:"members"` // as the packet was made
	Patch   PatchID     `json:"patch,omitempty"`
	// Text and Archive are what goes out, by digest: the letter, and a ZIP archive with all that it speaks of.
	Text     proofhouse.Digest `json:"text"`
	Archive  proofhouse.Digest `json:"archive"`
	Made     time.Time         `json:"made"`
	Released time.Time         `json:"released,omitzero"`
	By       proofhouse.Actor  `json:"by,omitzero"` // who released it
	Answer   Answer            `json:"answer,omitempty"`
	Answered time.Time         `json:"answered,omitzero"`
	Note     string            `json:"note,omitempty"`
	// Links are those by which the project's people read it, in order.
	Links []Link `json:"links,omitempty"`
}

// open says whether the packet is out and the project has not closed it.
func (p Packet) open() bool {
	return !p.Released.IsZero() && (p.Answer == "" || p.Answer == Acknowledged)
}

// Finding is one by its name.
func (p Project) Finding(id FindingID) (Finding, error) {
	if i := slices.IndexFunc(p.Findings, func(f Finding) bool { return f.ID == id }); i >= 0 {
		return p.Findings[i], nil
	}
	return Finding{}, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such finding")
}

// Patch is one by its name.
func (p Project) Patch(id PatchID) (Patch, error) {
	if i := slices.IndexFunc(p.Patches, func(q Patch) bool { return q.ID == id }); i >= 0 {
		return p.Patches[i], nil
	}
	return Patch{}, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such patch")
}

// Packet is one by its name.
func (p Project) Packet(id PacketID) (Packet, error) {
	if i := slices.IndexFunc(p.Packets, func(q Packet) bool { return q.ID == id }); i >= 0 {
		return p.Packets[i], nil
	}
	return Packet{}, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such packet")
}

// Confirmed are the findings that count, oldest first.
func (p Project) Confirmed() []Finding {
	var all []Finding
	for _, f := range p.Findings {
		if f.Confirmed() {
			all = append(all, f)
		}
	}
	return all
}

func (p Project) known() []Known {
	var all []Known
	for _, f := range p.Confirmed() {
		all = append(all, Known{ID: f.ID, Proof: f.Files.Proof, Bucket: f.bucket(p.Purl)})
	}
	return all
}

func (p Project) evidence() evidence {
	v := evidence{known: p.known(), cells: slices.Clip(p.Cells), parts: slices.Clip(p.Parts)}
	texts, asked := map[PatchID]proofhouse.Digest{}, map[proofhouse.Digest]bool{}
	for _, q := range p.Patches {
		if texts[q.ID] = q.Fix; asked[q.Fix] || q.Check == nil || q.Check.Outcome == Refused {
			continue
		}
		asked[q.Fix] = true
		x := fix{name: q.Fix}
		for _, id := range q.After {
			x.after = append(x.after, texts[id]) // it was there before
		}
		v.fixes = append(v.fixes, x)
	}
	return v
}

func (p Project) live() []Cell { return p.evidence().live(p.Decisions) }

// Clusters are the confirmed findings by what one fix mends.
func (p Project) Clusters() []Cluster { return Group(p.known(), p.live(), p.Decisions) }

// Bounds of what a person is shown of a cluster.
const (
	maxShownMembers = 64
	maxShownEdges   = 200
)

// Edges are the evidence between the first members of a cluster, 64 at most.
func (p Project) Edges(c Cluster) []Edge {
	shown := c.Members[:min(len(c.Members), maxShownMembers)]
	edges := Compare(slices.DeleteFunc(p.known(), func(k Known) bool { return !slices.Contains(shown, k.ID) }), p.live())
	said := map[[2]FindingID]Decision{}
	for _, d := range p.Decisions {
		said[[2]FindingID{d.A, d.B}], said[[2]FindingID{d.B, d.A}] = d, d
	}
	for i, e := range edges {
		if d, ok := said[[2]FindingID{e.A, e.B}]; ok {
			edges[i].By, edges[i].Reason, edges[i].Relation = d.By, d.Reason, Different
			if d.Same {
				edges[i].Relation = Same
			}
		}
	}
	return edges
}

// Cluster is the one that a finding is in; a finding that is not confirmed is in none.
func (p Project) Cluster(id FindingID) (Cluster, error) {
	for _, c := range p.Clusters() {
		if slices.Contains(c.Members, id) {
			return c, nil
		}
	}
	return Cluster{}, proofhouse.Errorf(proofhouse.NotFound, nil, "the finding is not confirmed, so it is in no cluster")
}

// Possible are findings outside a cluster that may be of the same bug, 200 at most: nothing was executed that tells.
func (p Project) Possible(c Cluster) []Edge {
	var all []Edge
	of, known, inside := rowsOf(p.live()), p.known(), map[FindingID]bool{}
	for _, id := range c.Members {
		inside[id] = true
	}
	looked := 0
	for _, a := range known {
		if !inside[a.ID] || looked == maxShownMembers {
			continue
		}
		looked++
		for _, b := range known {
			if e := of.edge(a, b); !inside[b.ID] && e.Relation == Possible && len(all) < maxShownEdges {
				all = append(all, e)
			}
		}
	}
	return all
}

// Next is the finding to reproduce next, of those that wait; ok is false where none does. Finders take turns by organisation, so one who floods waits for himself: first
// whoever had the fewest reproductions, then the oldest.
func (p Project) Next() (FindingID, bool) {
	had := map[proofhouse.OrganisationID]int{}
	for _, f := range p.Findings {
		had[f.By.Organisation] += len(f.Attempts)
	}
	best := -1
	for i, f := range p.Findings {
		if f.State() != Waiting {
			continue
		}
		if best < 0 || cmp.Or(cmp.Compare(had[f.By.Organisation], had[p.Findings[best].By.Organisation]), f.Aware.Compare(p.Findings[best].Aware)) < 0 {
			best = i
		}
	}
	if best < 0 {
		return "", false
	}
	return p.Findings[best].ID, true
}

// NextPatch is the patch to check next with the cluster that it is held to; ok is false where none waits. Those wait that were not checked, or not against all that is known now. Who brought them take
// turns by organisation, as with findings.
func (p Project) NextPatch() (next Patch, to Cluster, ok bool) {
	in := map[FindingID]Cluster{}
	for _, c := range p.Clusters() {
		for _, id := range c.Members {
			in[id] = c
		}
	}
	had := map[proofhouse.OrganisationID]int{}
	for _, q := range p.Patches {
		had[q.By.Organisation] += q.Checks + q.Troubles
	}
	for _, q := range p.Patches {
		c, confirmed := in[q.For]
		if !confirmed || q.Stuck() {
			continue
		}
		waits := q.Check == nil || q.Check.Outcome != Refused && q.Proofs < len(c.Members) || q.Check.Waits() && q.Check.Others < len(others(p, q.ID))
		if waits && (!ok || had[q.By.Organisation] < had[next.By.Organisation]) {
			next, to, ok = q, c, true
		}
	}
	return next, to, ok
}

// BestPatch is the verified patch with the fewest changed lines of those brought for a cluster that need no other; ok is false where none is verified.
func (p Project) BestPatch(c Cluster) (best Patch, ok bool) {
	for _, q := range p.Patches {
		if len(q.After) > 0 || q.Check == nil || q.Check.Outcome != Verified || q.Proofs < len(c.Members) || !slices.Contains(c.Members, q.For) {
			continue
		}
		if !ok || q.Check.Added+q.Check.Removed < best.Check.Added+best.Check.Removed {
			best, ok = q, true
		}
	}
	return best, ok
}

// Blocked says why no packet of the project may go out now, or "". A project's word is kept to the day.
func (p Project) Blocked(now time.Time) string {
	d := p.Declaration.Or()
	for _, w := range d.Closed {
		if w.Holds(now) {
			return "the project takes nothing until the end of " + string(w.Until)
		}
	}
	open, week := 0, 0
	for _, q := range p.Packets {
		if q.open() {
			open++
		}
		if !q.Released.IsZero() && now.Sub(q.Released) < 7*24*time.Hour {
			week++
		}
	}
	switch {
	case !p.Stopped.IsZero():
		return "the project's people asked that nothing more is sent, until they declare anew"
	case d.Capacity < 0:
		return "the project takes no packets"
	case week >= d.Capacity:
		return "the project has had what it takes in a week"
	case open >= d.Open:
		return "the project has as many open packets as it takes at once"
	}
	return ""
}
