package report

import (
	"fmt"
	"strconv"

	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
)

// modelTallies are the figures of a run's model with how to read them.
func modelTallies(r bench.Result) []tally {
	m, s := r.Config.Model, r.Summary.Model
	if m == nil || s == nil {
		return nil
	}
	u := s.Usage
	cost := word("not known")
	if m.Prices != (chat.Prices{}) {
		cost = dollars(s.NanoDollars)
	}
	return []tally{
		{"Turns of the model", word(strconv.Itoa(s.Turns)), "Answers that it gave, in all samples and attempts.", false},
		{"Tokens in", count(u.In()), word(fmt.Sprintf("As the provider counts them, of which %s were read from a cache and %s written to one.", count(u.CacheRead), count(u.CacheWrite))), false},
		{"Tokens out", count(u.Output), word(fmt.Sprintf("As the provider counts them, of which %s are said to be reasoning.", count(u.Reasoning))), false},
		{"Cost", cost, "By the prices that the run was given, for the tokens that the provider reported.", false},
		{"Refused or filtered", word(strconv.Itoa(s.Refusals)), "Answers that the model declined or a filter cut. They count as the model's.", false},
		{"Failures of the provider", word(strconv.Itoa(s.Failures)), "Calls without any answer, after all retries. A sample that ends by one is an infrastructure error, never the model's failure.", s.Failures > 0},
		{"Retries", word(strconv.Itoa(s.Retries)), "Attempts that failed for a reason of the provider's and were made again.", false},
		{"Time of the provider", span(s.Took), "Of the attempts that were answered.", false},
		{"Waited for the provider", span(max(0, s.Waited-s.Queued)), "Between attempts: nobody's work.", false},
		{"Waited for a place", span(s.Queued), "In this house, which holds back to the pace that the provider keeps. Much of it means that more samples ran side by side than the provider serves.", false},
	}
}

// modelFacts are what the run asked of its model.
func modelFacts(r bench.Result) []fact {
	m := r.Config.Model
	if m == nil {
		return nil
	}
	facts := []fact{{"Model", label(m.Name)}, {"Protocol", label(m.Protocol)}}
	add := func(name word, set bool, value string) {
		if set {
			facts = append(facts, fact{name, line(value)})
		}
	}
	g := m.Generate
	number := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'g', -1, 64)
	}
	add("Tokens of an answer", g.MaxTokens > 0, "at most "+strconv.FormatInt(g.MaxTokens, 10))
	add("Temperature", g.Temperature != nil, number(g.Temperature))
	add("Top p", g.TopP != nil, number(g.TopP))
	add("Reasoning effort", g.ReasoningEffort != "", g.ReasoningEffort)
	add("Reasoning tokens", g.ReasoningTokens > 0, strconv.FormatInt(g.ReasoningTokens, 10))
	add("Context window", m.Context > 0, strconv.FormatInt(m.Context, 10)+" tokens")
	told := "no: it learns that a submission was accepted"
	if m.Told {
		told = "yes, of each submission"
	}
	add("Told whether it solved the task", true, told)
	add("Budget of a sample", m.Sample != bench.Budget{}, budget(m.Sample))
	add("Budget of the run", m.Run != bench.Budget{}, budget(m.Run))
	add("Prices", m.Prices.Version != "", m.Prices.Version)
	return facts
}

// budget is a budget in words.
func budget(b bench.Budget) string {
	out := ""
	add := func(set bool, s string) {
		if set && out != "" {
			out += ", "
		}
		if set {
			out += s
		}
	}
	add(b.Turns > 0, fmt.Sprintf("%d turns", b.Turns))
	add(b.Tokens > 0, fmt.Sprintf("%d tokens", b.Tokens))
	add(b.NanoDollars > 0, string(dollars(b.NanoDollars)))
	add(b.Messages > 0, fmt.Sprintf("%d messages", b.Messages))
	return out
}

// modelUsage is what a sample's model took of its budget.
func modelUsage(s bench.Sample, r bench.Result) []usage {
	m := r.Config.Model
	if m == nil || s.Model == nil {
		return nil
	}
	of := func(took, most int64, unit string) (word, word) {
		if most <= 0 {
			return word("no limit of " + unit), ""
		}
		return "of " + count(most), lengthOf(float64(took) / float64(most))
	}
	turns := usage{Name: "Turns of the model", Took: word(strconv.Itoa(s.Model.Turns))}
	turns.Of, turns.Width = of(int64(s.Model.Turns), int64(m.Sample.Turns), "turns")
	tokens := usage{Name: "Tokens in and out", Took: count(s.Model.Usage.In()) + " + " + count(s.Model.Usage.Output)}
	tokens.Of, tokens.Width = of(s.Model.Tokens(), m.Sample.Tokens, "tokens")
	all := []usage{turns, tokens}
	if m.Prices != (chat.Prices{}) {
		all = append(all, usage{Name: "Cost", Took: dollars(s.Model.NanoDollars), Of: "by the prices of the run"})
	}
	if n := s.Model.Failures; n > 0 {
		all = append(all, usage{Name: "Failures of the provider", Took: word(strconv.Itoa(n)), Of: "calls without an answer", Alarm: true})
	}
	return all
}

// count is a number with its thousands apart.
func count(n int64) word {
	digits := strconv.FormatInt(n, 10)
	out := ""
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			out += "\u202f"
		}
		out += string(d)
	}
	return word(out)
}

// dollars is an amount of nano-dollars to the hundredth of a cent, rounded up.
func dollars(nano int64) word {
	return word(fmt.Sprintf("$%.4f", float64((nano+99_999)/100_000)/10_000))
}
