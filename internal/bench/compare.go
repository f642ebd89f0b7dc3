package bench

import (
	"proofhouse/internal/bench/stat"
	"proofhouse/internal/proofhouse"
)

// Compare says how much more often a's agent solves than b's, on the samples
// that both scored: same task, same epoch. Samples that one of them lacks,
// because of an infrastructure error or because it ran fewer, are left out;
// the caller sees it in Pairs. Runs of different suites have no pair.
func Compare(a, b Result) stat.Difference {
	type key struct {
		task  proofhouse.TaskID
		epoch int
	}
	other := map[key]Sample{}
	if a.Suite.Name == b.Suite.Name && a.Suite.Digest == b.Suite.Digest {
		for _, s := range b.Samples {
			if s.Status == Scored {
				other[key{s.Task, s.Epoch}] = s
			}
		}
	}
	var pairs []stat.Pair
	for _, s := range a.Samples {
		if o, ok := other[key{s.Task, s.Epoch}]; ok && s.Status == Scored {
			pairs = append(pairs, stat.Pair{Cluster: s.Cluster, A: s.Score.Solved, B: o.Score.Solved})
		}
	}
	return stat.Paired(pairs, stat.Level)
}
