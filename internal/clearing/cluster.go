package clearing

import (
	"cmp"
	"slices"

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
	stops := map[proofhouse.Digest]map[proofhouse.Digest]bool{} // by patch, then proof
	for _, c := range cells {
		if stops[c.Patch] == nil {
			stops[c.Patch] = map[proofhouse.Digest]bool{}
		}
		stops[c.Patch][c.Proof] = c.Stops
	}
	var edges []Edge
	for i, a := range known {
		for _, b := range known[i+1:] {
			e := Edge{A: a.ID, B: b.ID, Relation: Unrelated}
			for _, of := range stops {
				x, tried := of[a.Proof]
				y, too := of[b.Proof]
				switch {
				case !tried || !too:
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
			edges = append(edges, e)
		}
	}
	return edges
}

// Clusters groups findings, which come oldest first, by edges and by what people decided. It is pure. Two groups become one only where more of
// the pairs across are the same than not, none is different, and no person keeps a pair apart: a merge that
// hides a bug costs more than one that was missed, so nothing follows from a chain of likenesses alone.
func Clusters(known []Known, edges []Edge, decisions []Decision) []Cluster {
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
				same, bound, apart := 0, false, false
				for _, a := range group[i] {
					for _, b := range group[j] {
						l := links[a][b]
						switch l.relation {
						case Different:
							apart = true
						case Same:
							same++
							bound = bound || l.person
						case Possible, Unrelated:
						}
					}
				}
				if apart || person && !bound {
					continue
				}
				share := float64(same) / float64(len(group[i])*len(group[j]))
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
