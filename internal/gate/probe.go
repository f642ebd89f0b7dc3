package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// A run is of one model. Whether it still is that one is asked at its start,
// during it and at its end, with a small fixed set of prompts.

// ProbeSet names the prompts of Probes; both change together.
const ProbeSet = "probes-1"

// Probes are short prompts whose answers differ from model to model, and at
// temperature 0 hardly from one time to the next.
var Probes = []string{
	"Count from 1 to 20, separated by commas. Write nothing else.",
	"Write the word proofhouse backwards. Write nothing else.",
	"What is 47 times 83? Answer with the number alone.",
	"Name three rivers of three continents, in one line.",
	"Complete in at most ten words: It was a bright cold day in April, and",
}

// probeTokens caps the answer to a probe.
const probeTokens = 48

// Prober asks a model the probes.
type Prober struct {
	Generate func(context.Context, chat.Request) (chat.Output, error)
	// Reported are the model's ids as the upstream reported them so far, which
	// answers that went through a gate do not tell: see Gate.Reported. nil
	// takes Output.Model.
	Reported func() []string
	// Repeats is how often First asks each probe, at least 2; 0 is 3.
	Repeats int
}

// Impression is what a model answered at one time. It holds no text.
type Impression struct {
	Set     string         `json:"set"`
	Time    time.Time      `json:"time"`    // when it was begun
	Models  []string       `json:"models"`  // ids as reported, each once
	Answers []ProbeAnswers `json:"answers"` // by probe
}

// ProbeAnswers are the answers to one probe that was asked several times.
type ProbeAnswers struct {
	Digests []proofhouse.Digest `json:"digests"` // of each answer: why it ended, text and reasoning
	Inputs  []int64             `json:"inputs"`  // input tokens of each, cached or not
	Usage   chat.Usage          `json:"usage"`   // of all
}

// First asks each probe several times: which answers are stable is seen from
// that. A failure of the provider is the error, and no change of the model.
func (p Prober) First(ctx context.Context, now time.Time) (Impression, error) {
	repeats := p.Repeats
	if repeats == 0 {
		repeats = 3
	}
	i := Impression{Set: ProbeSet, Time: now, Answers: make([]ProbeAnswers, len(Probes))}
	for n := range Probes {
		for range max(repeats, 2) {
			if err := p.ask(ctx, &i, n); err != nil {
				return i, err
			}
		}
	}
	return i, nil
}

// Again asks each probe once, and as often as First did where the answer is
// not the one that First got every time.
func (p Prober) Again(ctx context.Context, first Impression, now time.Time) (Impression, error) {
	i := Impression{Set: ProbeSet, Time: now, Answers: make([]ProbeAnswers, len(Probes))}
	for n := range min(len(Probes), len(first.Answers)) {
		for range len(first.Answers[n].Digests) {
			if err := p.ask(ctx, &i, n); err != nil {
				return i, err
			}
			if !changed(first.Answers[n].Digests, i.Answers[n].Digests) && !changed(first.Answers[n].Inputs, i.Answers[n].Inputs) {
				break
			}
		}
	}
	return i, nil
}

func (p Prober) ask(ctx context.Context, i *Impression, n int) error {
	zero := 0.0
	out, err := p.Generate(ctx, chat.Request{
		Messages: []chat.Message{{Role: chat.User, Text: Probes[n]}},
		Config:   chat.Config{MaxTokens: probeTokens, Temperature: &zero},
	})
	if err != nil {
		return fmt.Errorf("asking probe %d: %w", n+1, err)
	}
	models := []string{out.Model}
	if p.Reported != nil {
		models = p.Reported()
	}
	for _, m := range models {
		if !slices.Contains(i.Models, m) {
			i.Models = append(i.Models, m)
		}
	}
	answer := []string{string(out.StopReason), out.Message.Text}
	for _, r := range out.Message.Reasoning {
		answer = append(answer, r.Text) // without its signature, which is another each time
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("writing the answer to probe %d: %w", n+1, err)
	}
	a := &i.Answers[n]
	a.Digests, a.Inputs, a.Usage = append(a.Digests, proofhouse.DigestOf(b)), append(a.Inputs, out.Usage.In()), a.Usage.Plus(out.Usage)
	return nil
}

// Changes says in sentences, which name no model, what shows that later is not
// of the model that first is of; without any the run goes on. The rules:
//
//   - The reported model id: any other than those of first is a change.
//   - An answer that was the same every time in first: a change, if later got
//     it not once. One that varied in first says nothing, and is only recorded.
//   - The input tokens of a probe, by the same rule: the tokenizer, the
//     template or a prompt of the server's own are others now.
//   - Another set of probes cannot be compared, which is a change as well.
func (first Impression) Changes(later Impression) (all []string) {
	if first.Set != later.Set || len(first.Answers) != len(later.Answers) {
		return []string{"other probes were asked than at first"}
	}
	for _, m := range later.Models {
		if !slices.Contains(first.Models, m) {
			all = append(all, "the server reports another model than at first")
			break
		}
	}
	for n, a := range first.Answers {
		if changed(a.Digests, later.Answers[n].Digests) {
			all = append(all, fmt.Sprintf("probe %d is answered otherwise than at first", n+1))
		}
		if changed(a.Inputs, later.Answers[n].Inputs) {
			all = append(all, fmt.Sprintf("probe %d has another number of input tokens than at first", n+1))
		}
	}
	return all
}

// Unchanged is proofhouse.Conflict if later is not of the model that first is of.
func (first Impression) Unchanged(later Impression) error {
	if all := first.Changes(later); len(all) > 0 {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the model behind the codename changed during the run: %s; what was measured is of more than one model", strings.Join(all, ", "))
	}
	return nil
}

// changed says that first was the same each time, and is none of later.
func changed[T comparable](first, later []T) bool {
	for _, x := range first {
		if x != first[0] {
			return false
		}
	}
	return len(first) > 0 && len(later) > 0 && !slices.Contains(later, first[0])
}
