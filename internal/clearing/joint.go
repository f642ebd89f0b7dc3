package clearing

import (
	"bytes"
	"context"
	"slices"
	"strings"
)

// Joint finds groups of one class that no patch tells apart and that two patches with different parts stop both: their fixes need more than one
// place, and each of these alone has nothing to spare for the one group and does nothing for the other. A single patch of that kind may be two fixes that came
// together. The cells are of the two patches as they are, on all proofs of both groups.
func (m *Matrix) Joint(ctx context.Context, groups [][]Exhibit, patches [][]byte) ([]Cell, error) {
	parts := make([][][]byte, len(groups)) // of each patch, what stops the first of the group
	for i, g := range groups {
		for _, p := range patches {
			part, err := m.Minimal(ctx, g[0], p)
			if err != nil {
				return nil, err
			}
			parts[i] = append(parts[i], part)
		}
	}
	var cells []Cell
	for i, a := range groups {
		for j := i + 1; j < len(groups); j++ {
			b := groups[j]
			if class(a[0]) != class(b[0]) {
				continue
			}
			both := joint(parts[i], parts[j])
			for _, n := range both {
				for _, e := range slices.Concat(a, b) {
					c, err := m.Try(ctx, e, patches[n])
					if err != nil {
						return nil, err
					}
					cells = append(cells, c)
				}
			}
		}
	}
	return cells, nil
}

// joint are two patches that stop the proofs of two groups by different parts, where no patch stops one alone. It is pure.
func joint(a, b [][]byte) []int {
	first := -1
	for i := range a {
		switch {
		case (a[i] == nil) != (b[i] == nil):
			return nil
		case a[i] == nil:
		case bytes.Equal(a[i], b[i]):
			return nil // one part stops both already
		case first < 0:
			first = i
		}
	}
	if first < 0 {
		return nil
	}
	for i := range a {
		if a[i] != nil && (!bytes.Equal(a[i], a[first]) || !bytes.Equal(b[i], b[first])) {
			return []int{first, i}
		}
	}
	return nil
}

func class(e Exhibit) string {
	c, _, _ := strings.Cut(e.Signature, ":")
	return c
}
