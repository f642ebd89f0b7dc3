package clearing

import "bytes"

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
