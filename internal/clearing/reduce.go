package clearing

// reduce finds a smallest subset of 0..n-1 for which holds is true, given that it is true for all of
// them: no single one of what is left can be left out. It asks in the order of delta debugging (Zeller and
// Hildebrandt, 2002), each subset at most once.
func reduce(n int, holds func([]int) (bool, error)) ([]int, error) {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	parts := 2
	for len(all) > 1 {
		parts = min(parts, len(all))
		smaller := false
		for i := range parts {
			from, until := i*len(all)/parts, (i+1)*len(all)/parts
			rest := append(append([]int{}, all[:from]...), all[until:]...)
			if len(rest) == 0 {
				continue
			}
			ok, err := holds(rest)
			if err != nil {
				return nil, err
			}
			if ok {
				all, smaller = rest, true
				parts = max(parts-1, 2)
				break
			}
		}
		if smaller {
			continue
		}
		if parts == len(all) {
			break
		}
		parts *= 2
	}
	return all, nil
}
