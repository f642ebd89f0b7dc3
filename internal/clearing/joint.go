package clearing

import "proofhouse/internal/proofhouse"

// touch is what a patch does to a group: the part of it that stops some of its proofs, or "", what that part changes, and whether the patch stops all of
// them.
type touch struct {
	part, change proofhouse.Digest
	all          bool
}

// joint are patches that stop the proofs of two groups by different parts, where no patch stops one alone: two of them, or one that makes the same
// change twice. A patch that stops a group in part only tells nothing of what it spares. It is pure.
func joint(a, b []touch) []int {
	var both []int
	for i := range a {
		switch {
		case a[i].part == "" && b[i].part == "":
		case a[i].part == "" && b[i].all, b[i].part == "" && a[i].all:
			return nil
		case a[i].part == "" || b[i].part == "":
		case a[i].part == b[i].part:
			return nil // one part stops both already
		default:
			both = append(both, i)
		}
	}
	for _, i := range both {
		if a[i].all && b[i].all && a[i].change != "" && a[i].change == b[i].change {
			return []int{i}
		}
	}
	for _, i := range both[min(1, len(both)):] {
		if first := both[0]; a[i].part != a[first].part || b[i].part != b[first].part {
			return []int{first, i}
		}
	}
	return nil
}
