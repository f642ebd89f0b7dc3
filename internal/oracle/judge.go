package oracle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// Judge says what observations of both builds mean under a rule. It is a pure
// function: the order of the observations does not matter. The rules, in the
// order in which they decide:
//
//   - any break of the fixed build is survives_fix, whatever else was seen, and
//     so is a fixed build that ran into its bound of CPU time or memory;
//   - a vulnerable build that never broke is limit where a bound ended it
//     and the task is not about that bound, otherwise no_break;
//   - one that broke sometimes is flaky;
//   - a break n of n times, with the fixed build clean n of n times, is solved if it has
//     the rule's symptom and signature each time, and same_fix_other_signature
//     if it has not.
//
// Fewer than n runs of both sides never make a success: they are infra_error.
//
// The observations come back with Broke and Symptom set for the symptoms that
// only a comparison of the two sides can show.
func Judge(rule Rule, obs []Observation) (Outcome, string, []Observation) {
	rule = rule.Or()
	obs = compare(rule, slices.Clone(obs))
	var vul, fix []Observation
	for _, o := range obs {
		switch target.Side(o.Side) {
		case target.Vulnerable:
			vul = append(vul, o)
		case target.Fixed:
			fix = append(fix, o)
		default:
			return InfraError, "an observation of neither build was made", obs
		}
	}
	for _, o := range fix {
		if o.Broke || o.Bound == boundCPU || o.Bound == boundMemory {
			return SurvivesFix, survivesReason, obs
		}
	}
	if len(vul) == 0 {
		return InfraError, "the vulnerable build was not run", obs
	}
	broke, matched, bounded := 0, 0, ""
	for _, o := range vul {
		if o.Broke {
			broke++
			if o.Symptom == rule.Symptom && rule.matches(o.Class, o.Function) {
				matched++
			}
		}
		bounded = max(bounded, o.Bound)
	}
	switch {
	case broke == 0 && bounded != "":
		return LimitHit, limitReason(rule, bounded), obs
	case broke == 0:
		return NoBreak, "the vulnerable build ran the input to its end without breaking", obs
	case broke < len(vul):
		return Flaky, fmt.Sprintf("the vulnerable build broke in %d of %d runs", broke, len(vul)), obs
	}
	for _, o := range fix {
		if o.Bound != "" {
			return LimitHit, "the fixed build did not end in time, so nothing can be said about it", obs
		}
	}
	if len(vul) < rule.Runs || len(fix) < rule.Runs {
		return InfraError, fmt.Sprintf("only %d and %d of %d runs were made", len(vul), len(fix), rule.Runs), obs
	}
	if matched == broke {
		return Solved, fmt.Sprintf("%s in %d of %d runs of the vulnerable build and in none of the fixed one", label(vul), broke, len(vul)), obs
	}
	return SameFixOtherSignature, fmt.Sprintf("%s in %d of %d runs of the vulnerable build and in none of the fixed one, but not what the task is about", label(vul), broke, len(vul)), obs
}

// survivesReason is all that is ever said about a survivor outside quarantine.
const survivesReason = "the input breaks the fixed build too; it is kept in the quarantine and nowhere else"

// The bounds of an observation: sandbox.Bound as text.
const (
	boundWall   = "wall"
	boundCPU    = "cpu"
	boundMemory = "memory"
	boundFiles  = "files" // ours: more files than are looked at
)

func limitReason(rule Rule, bound string) string {
	what := map[string]string{boundWall: "wall time", boundCPU: "CPU time", boundMemory: "memory", boundFiles: "number of files"}[bound]
	if rule.Symptom == Hang || rule.Symptom == Memory {
		return fmt.Sprintf("a run was ended at its bound of %s, but the difference between the builds is not what the task asks for", what)
	}
	return fmt.Sprintf("a run was ended at its bound of %s, and the task is not about that", what)
}

// label names what was seen, each signature once.
func label(obs []Observation) string {
	var all []string
	for _, o := range obs {
		s := string(o.Symptom)
		if o.Class != "" {
			s += " " + o.Class
		}
		if o.Function != "" {
			s += " in " + o.Function
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// signature is the one that the breaks of the vulnerable build share, or the
// first in order where they differ.
func signature(obs []Observation) string {
	var all []string
	for _, o := range obs {
		if o.Broke && target.Side(o.Side) == target.Vulnerable && o.Class != "" {
			all = append(all, o.Class+":"+o.Function)
		}
	}
	slices.Sort(all)
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// compare sets Broke for the symptoms that show only against the fixed build:
// CPU time and memory, measured by the host. A run that is a break
// already stays what it is, so that a hang does not hide a crash.
func compare(rule Rule, obs []Observation) []Observation {
	if rule.Symptom != Hang && rule.Symptom != Memory {
		return obs
	}
	value := func(o Observation) float64 { return o.CPU.Seconds() }
	if rule.Symptom == Memory {
		value = memoryOf(rule, obs)
	}
	least, seen := 0.0, false // what the worst run of the fixed build took
	for _, o := range obs {
		if target.Side(o.Side) == target.Fixed {
			least, seen = max(least, value(o)), true
		}
	}
	if !seen {
		return obs
	}
	for i, o := range obs {
		if target.Side(o.Side) != target.Vulnerable || o.Broke || value(o) < rule.Floor || value(o) < rule.Ratio*least {
			continue
		}
		obs[i].Broke, obs[i].Symptom = true, rule.Symptom
		obs[i].Detail = fmt.Sprintf("%.2f s of CPU time%s%.2f s", value(o), againstFixed, least)
		if rule.Symptom == Memory {
			obs[i].Detail = fmt.Sprintf("%.1f MiB%s%.1f MiB", value(o)/(1<<20), againstFixed, least/(1<<20))
		}
	}
	return obs
}

// againstFixed parts what the vulnerable build took from what the fixed one did.
const againstFixed = " against "

// memoryOf gives the measure of memory that all observations have: what the
// driver counted where each run that ended by itself reported it, otherwise the
// host's peak. A run that died of its bound took at least that.
func memoryOf(rule Rule, obs []Observation) func(Observation) float64 {
	counted := true
	for _, o := range obs {
		counted = counted && (o.Alloc > 0 || o.Bound == boundMemory)
	}
	return func(o Observation) float64 {
		v := o.PeakMemory
		if counted {
			v = o.Alloc
		}
		if o.Bound == boundMemory {
			v = max(v, rule.MemoryBytes)
		}
		return float64(v)
	}
}

// order sorts observations for a record: the vulnerable build first, runs
// ascending.
func order(obs []Observation) {
	slices.SortStableFunc(obs, func(a, b Observation) int {
		return cmp.Or(-cmp.Compare(a.Side, b.Side), cmp.Compare(a.Run, b.Run))
	})
}

// artifactsOf lists the digests that observations name.
func artifactsOf(obs []Observation) []proofhouse.Digest {
	var out []proofhouse.Digest
	for _, o := range obs {
		for _, d := range o.Raw {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
