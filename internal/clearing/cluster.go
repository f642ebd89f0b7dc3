package clearing

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
)

// Relation is what the cells say of two proofs.
type Relation string

// The relations.
const (
	Same      Relation = "same"      // one minimal patch stops both
	Different Relation = "different" // none does, and each can be mended without the other
	Possible  Relation = "possible"  // the buckets propose it and nothing was executed that tells
	Unrelated Relation = "unrelated" // nothing proposes it
)

// Edge is the evidence between two findings. It is not directed, and A is before B in the order of ids.
type Edge struct {
	A        FindingID `json:"a"`
	B        FindingID `json:"b"`
	Relation Relation  `json:"relation"`
	// Both, OnlyA and OnlyB are how many minimal patches stop both proofs, or only one of them.
	Both  int `json:"both,omitempty"`
	OnlyA int `json:"only_a,omitempty"`
	OnlyB int `json:"only_b,omitempty"`
	// By is who decided, where a person did, and Reason why.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Known is a confirmed finding as the clusters take it.
type Known struct {
	ID     FindingID
	Proof  proofhouse.Digest
	Bucket Bucket
}

// Bucket is what can be said of a break without running anything else: cheap, and never enough to merge.
type Bucket struct {
	Purl     string   // without the version
	Class    string   // the sanitizer's, or the runtime's
	Frames   []string // the project's own innermost functions, at most 3
	Function string   // that the finder named
}

// Propose says whether two breaks look alike.
func (b Bucket) Propose(o Bucket) bool {
	if b.Purl != o.Purl {
		return false
	}
	if b.Function != "" && b.Function == o.Function {
		return true
	}
	return b.Class == o.Class && len(b.Frames) > 0 && len(o.Frames) > 0 && b.Frames[0] == o.Frames[0]
}

// Decision is a person's word on two findings. The last one on a pair holds.
type Decision struct {
	A, B   FindingID
	Same   bool
	By     string
	Reason string
}

// Cluster is the findings that one fix mends.
type Cluster struct {
	// ID is the oldest member's.
	ID      FindingID   `json:"id"`
	Members []FindingID `json:"members"` // oldest first
	// Merged are the edges that hold it together.
	Merged []Edge `json:"merged,omitempty"`
}

// Compare works out the edges between all findings, in the order of their ids. It is pure. Two findings with the same
// proof are the same. A minimal patch that stops neither says nothing.
//
// Two are the same where one patch that has nothing to spare stops both: what CVE's rules call not independently fixable (CNA Rules 4.2.0, 4.1.9
// and 4.2.11). That another patch, such as a check in one caller, stops only one of them does not part them; only verified
// patches may be asked, since one that hides breaks would make everything the same.
func Compare(known []Known, cells []Cell) []Edge {
	of := rowsOf(cells)
	var edges []Edge
	for i, a := range known {
		for _, b := range known[i+1:] {
			edges = append(edges, of.edge(a, b))
		}
	}
	return edges
}

// rows are what patches do to a proof, by proof and then patch: whether they stop it.
type rows map[proofhouse.Digest]map[proofhouse.Digest]bool

func rowsOf(cells []Cell) rows {
	of := rows{}
	for _, c := range cells {
		if of[c.Proof] == nil {
			of[c.Proof] = map[proofhouse.Digest]bool{}
		}
		of[c.Proof][c.Patch] = c.Stops
	}
	return of
}

// edge is the evidence between two findings.
func (of rows) edge(a, b Known) Edge {
	e := Edge{A: a.ID, B: b.ID, Relation: Unrelated}
	other := of[b.Proof]
	for patch, x := range of[a.Proof] {
		y, tried := other[patch]
		switch {
		case !tried:
		case x && y:
			e.Both++
		case x:
			e.OnlyA++
		case y:
			e.OnlyB++
		}
	}
	switch {
	case a.Proof == b.Proof && a.Bucket.Purl == b.Bucket.Purl:
		e.Relation = Same
	case e.Both > 0:
		e.Relation = Same
	case e.OnlyA > 0 && e.OnlyB > 0:
		e.Relation = Different
	case a.Bucket.Propose(b.Bucket):
		e.Relation = Possible
	}
	return e
}

// row is what patches do to a proof as one word, and whether any stops it.
func (of rows) row(proof proofhouse.Digest) (word string, stopped bool) {
	var b strings.Builder
	for _, patch := range slices.Sorted(maps.Keys(of[proof])) {
		b.WriteString(string(patch))
		if of[proof][patch] {
			stopped = true
			b.WriteString("+")
		}
	}
	return b.String(), stopped
}

// Group is Clusters for many findings: those that no evidence tells apart, and of which no person said anything, are taken as one, so that ten thousand reports of one
// bug cost what a few do. It is pure, and gives the same groups; Merged has an edge for each finding beyond the first of its kind.
func Group(known []Known, cells []Cell, decisions []Decision) []Cluster {
	of := rowsOf(cells)
	decided, spoken := map[FindingID]bool{}, map[proofhouse.Digest]bool{}
	for _, d := range decisions {
		decided[d.A], decided[d.B] = true, true
	}
	for _, k := range known {
		spoken[k.Proof] = spoken[k.Proof] || decided[k.ID]
	}
	kinds := map[string][]Known{}
	var order, alone []string
	for _, k := range known {
		word, stopped := of.row(k.Proof)
		switch {
		case decided[k.ID]:
			word = "finding " + string(k.ID)
		case !stopped: // nothing joins it but its own proof
			word = "proof " + string(k.Proof) + " " + k.Bucket.Purl
		}
		switch {
		case kinds[word] != nil:
		case stopped || spoken[k.Proof]:
			order = append(order, word)
		default:
			alone = append(alone, word)
		}
		kinds[word] = append(kinds[word], k)
	}
	first, weights := make([]Known, len(order)), make([]int, len(order))
	for i, word := range order {
		first[i], weights[i] = kinds[word][0], len(kinds[word])
	}
	out := clusters(first, weights, Compare(first, cells), decisions)
	kindOf := map[FindingID]string{}
	for i, word := range order {
		kindOf[first[i].ID] = word
	}
	for _, word := range alone {
		out = append(out, Cluster{Members: []FindingID{kinds[word][0].ID}})
		kindOf[kinds[word][0].ID] = word
	}
	at := map[FindingID]int{}
	for i, k := range known {
		at[k.ID] = i
	}
	byAge := func(a, b FindingID) int { return cmp.Compare(at[a], at[b]) }
	for i := range out {
		c := &out[i]
		for _, rep := range slices.Clone(c.Members) {
			kind := kinds[kindOf[rep]]
			for _, k := range kind[1:] {
				c.Members, c.Merged = append(c.Members, k.ID), append(c.Merged, of.edge(kind[0], k))
			}
		}
		slices.SortFunc(c.Members, byAge)
		c.ID = c.Members[0]
	}
	slices.SortFunc(out, func(a, b Cluster) int { return byAge(a.ID, b.ID) })
	return out
}

// Clusters groups findings, which come oldest first, by edges and by what people decided. It is pure. Two groups become one only where more of
// the pairs across are the same than not, none is different, and no person keeps a pair apart: a merge that
// hides a bug costs more than one that was missed, so nothing follows from a chain of likenesses alone.
func Clusters(known []Known, edges []Edge, decisions []Decision) []Cluster {
	weights := make([]int, len(known))
	for i := range weights {
		weights[i] = 1
	}
	return clusters(known, weights, edges, decisions)
}

// clusters is Clusters of findings each of which stands for as many as its weight.
func clusters(known []Known, weights []int, edges []Edge, decisions []Decision) []Cluster {
	index := map[FindingID]int{}
	for i, k := range known {
		index[k.ID] = i
	}
	n := len(known)
	type link struct {
		relation Relation
		edge     Edge
		person   bool
	}
	links := make([][]link, n)
	for i := range links {
		links[i] = make([]link, n)
	}
	put := func(e Edge, person bool) {
		i, ok := index[e.A]
		j, too := index[e.B]
		if ok && too && i != j {
			links[i][j] = link{e.Relation, e, person}
			links[j][i] = links[i][j]
		}
	}
	for _, e := range edges {
		put(e, false)
	}
	for _, d := range decisions {
		e := Edge{A: d.A, B: d.B, Relation: Different, By: d.By, Reason: d.Reason}
		if d.Same {
			e.Relation = Same
		}
		put(e, true)
	}
	group := make([][]int, n)
	for i := range group {
		group[i] = []int{i}
	}
	// A person's word first; then the strongest evidence.
	join := func(person bool) bool {
		best, x, y := 0.0, -1, -1
		for i := range group {
			for j := i + 1; j < len(group); j++ {
				same, all, bound, apart := 0, 0, false, false
				for _, a := range group[i] {
					for _, b := range group[j] {
						l, weight := links[a][b], weights[a]*weights[b]
						all += weight
						switch l.relation {
						case Different:
							apart = true
						case Same:
							same += weight
							bound = bound || l.person
						case Possible, Unrelated:
						}
					}
				}
				if apart || person && !bound {
					continue
				}
				share := float64(same) / float64(all)
				if bound {
					share += 1
				}
				if share > 0.5 && share > best {
					best, x, y = share, i, j
				}
			}
		}
		if x < 0 {
			return false
		}
		group[x] = append(group[x], group[y]...)
		group = slices.Delete(group, y, y+1)
		return true
	}
	for join(true) {
	}
	for join(false) {
	}
	var out []Cluster
	for _, g := range group {
		slices.Sort(g)
		c := Cluster{ID: known[g[0]].ID}
		for k, i := range g {
			c.Members = append(c.Members, known[i].ID)
			for _, j := range g[k+1:] {
				if links[i][j].relation == Same {
					c.Merged = append(c.Merged, links[i][j].edge)
				}
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Cluster) int { return cmp.Compare(index[a.ID], index[b.ID]) })
	return out
}
