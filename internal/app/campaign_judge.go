package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/bench"
	"proofhouse/internal/bench/react"
	"proofhouse/internal/clearing"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
)

// CampaignResult is what became of a campaign.
type CampaignResult struct {
	CampaignID
	Folder string `json:"folder"`
	// Status is "success", "cancelled" by the operator, or "budget": it ended at its bounds, or somebody could not be asked any more.
	Status      string       `json:"status"`
	Trials      int          `json:"trials"`
	Submissions int          `json:"submissions"`
	Spent       *bench.Spent `json:"spent,omitempty"` // of the agents' model and of those who examined
	// Lines are what was submitted: one for all that look alike, the filed ones first.
	Lines []CampaignLine `json:"lines"`
	Notes []string       `json:"notes"`
}

// CampaignLine is all inputs that look alike: the same verdict, class and innermost functions. Looking alike merges nothing.
type CampaignLine struct {
	Verdict clearing.Verdict `json:"verdict"`
	Look    string           `json:"look,omitempty"`
	Reason  string           `json:"reason"` // of the first
	Count   int              `json:"count"`  // submissions
	// Doubt is why the first is not filed although it is confirmed.
	Doubt string `json:"doubt,omitempty"`
	// Proofs are the inputs, and Findings the folders of those that are filed, within the campaign's.
	Proofs   []proofhouse.Digest `json:"proofs,omitempty"`
	Findings []string            `json:"findings,omitempty"`
}

// Opinion is what one who examined a proof by itself said of it.
type Opinion struct {
	Real   bool   `json:"real"`
	Reason string `json:"reason"`
}

// judged is what is known of one input that broke the build in a trial.
type judged struct {
	Proof        proofhouse.Digest     `json:"proof"`
	Opinion      *Opinion              `json:"opinion,omitempty"` // nil where no model takes part
	Reproduction clearing.Reproduction `json:"reproduction"`
	Statement    proofhouse.Digest     `json:"statement"`
}

// conclude judges what the trials brought, files what is confirmed and writes the campaign's results.json.
func (c *campaign) conclude(ctx context.Context, trials bench.Result) (CampaignResult, error) {
	out := CampaignResult{CampaignID: c.id, Folder: c.folder, Status: "success", Trials: len(trials.Samples), Lines: []CampaignLine{}, Notes: []string{}}
	switch trials.Status {
	case "cancelled":
		out.Status = "cancelled"
	case "error":
		out.Status = "budget"
	}
	known := map[proofhouse.Digest]judged{}
	for _, s := range trials.Samples {
		if s.Error != "" {
			out.Notes = append(out.Notes, fmt.Sprintf("trial %d ended by an error of ours: %s", s.Epoch, s.Error))
		}
		for _, sub := range s.Submissions {
			out.Submissions++
			if sub.Verdict.Outcome != oracle.Breaks {
				out.add(CampaignLine{Verdict: verdictOf(sub.Verdict.Outcome), Look: sub.Verdict.Signature, Reason: cmp.Or(sub.Verdict.Reason, "it was not judged yet"), Count: 1, Proofs: []proofhouse.Digest{sub.Digest}})
				continue
			}
			j, ok := known[sub.Digest]
			if !ok && out.Status != "cancelled" {
				var err error
				if j, err = c.judge(ctx, sub.Digest, trials); err != nil && ctx.Err() == nil {
					return CampaignResult{}, err
				}
				if ctx.Err() != nil {
					out.Status = "cancelled"
				} else {
					known[sub.Digest], ok = j, true
				}
			}
			if !ok {
				out.add(CampaignLine{Verdict: "waiting", Reason: "broke in the trial and was not reproduced yet", Count: 1, Proofs: []proofhouse.Digest{sub.Digest}})
				continue
			}
			line := CampaignLine{Verdict: j.Reproduction.Verdict, Look: j.Reproduction.Look(), Reason: j.Reproduction.Reason, Count: 1, Proofs: []proofhouse.Digest{sub.Digest}}
			switch {
			case j.Reproduction.Verdict != clearing.Confirmed:
			case j.Opinion != nil && !j.Opinion.Real:
				line.Doubt = j.Opinion.Reason
			default:
				name, err := c.file(j)
				if err != nil {
					return CampaignResult{}, err
				}
				line.Findings = []string{name}
			}
			out.add(line)
		}
	}
	c.finish(&out, trials)
	return out, writeJSON(filepath.Join(c.folder, "results.json"), out)
}

// finish adds what is of the whole.
func (c *campaign) finish(out *CampaignResult, trials bench.Result) {
	out.sort()
	if trials.Summary.Model == nil {
		out.Notes = append(out.Notes, "no model took part, so nobody examined the proofs before the oracle did")
		return
	}
	spent := c.used(trials)
	out.Spent = &spent
}

// add puts a line to those that look like it.
func (r *CampaignResult) add(l CampaignLine) {
	for i := range r.Lines {
		x := &r.Lines[i]
		if x.Verdict != l.Verdict || x.Look != l.Look || (x.Doubt == "") != (l.Doubt == "") {
			continue
		}
		x.Count += l.Count
		for _, d := range l.Proofs {
			if !slices.Contains(x.Proofs, d) {
				x.Proofs = append(x.Proofs, d)
			}
		}
		for _, f := range l.Findings {
			if !slices.Contains(x.Findings, f) {
				x.Findings = append(x.Findings, f)
			}
		}
		return
	}
	r.Lines = append(r.Lines, l)
}

// sort puts what is filed first, and of that what came most often.
func (r *CampaignResult) sort() {
	slices.SortStableFunc(r.Lines, func(a, b CampaignLine) int {
		return cmp.Or(cmp.Compare(min(1, len(b.Findings)), min(1, len(a.Findings))), cmp.Compare(b.Count, a.Count))
	})
}

// verdictOf is what a trial's look at a submission comes to.
func verdictOf(o oracle.Outcome) clearing.Verdict {
	switch o { //nolint:exhaustive // there is no fixed build
	case oracle.Flaky:
		return clearing.Inconclusive
	case oracle.InfraError, "":
		return clearing.Infrastructure
	}
	return clearing.NotReproduced
}

// judge has one input examined and reproduced, or reads what is known of it. Only what is an infrastructure error is tried again.
func (c *campaign) judge(ctx context.Context, proof proofhouse.Digest, trials bench.Result) (judged, error) {
	dir := filepath.Join(c.folder, proofsFolder, proof.Hex()[:12])
	var j judged
	if b, err := os.ReadFile(filepath.Join(dir, "judged.json")); err == nil && json.Unmarshal(b, &j) == nil && j.Proof == proof {
		return j, nil
	}
	input, err := bench.Artifact(filepath.Join(c.folder, trialsFolder), proof)
	if err != nil {
		return judged{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return judged{}, proofhouse.Errorf(proofhouse.Unavailable, err, "the campaign's folder cannot be written to")
	}
	if err := writeFile(filepath.Join(dir, "proof"), write(input)); err != nil {
		return judged{}, err
	}
	j = judged{Proof: proof}
	asked := true
	if c.req.Run.Model.Name != "" {
		if j.Opinion, asked, err = c.examine(ctx, dir, input, trials); err != nil {
			return judged{}, err
		}
	}
	c.say("reproducing " + proof.Hex()[:12])
	var envelope json.RawMessage
	if j.Reproduction, envelope, err = c.bench.Reproduce(ctx, input, 0); err != nil {
		return judged{}, err
	}
	if envelope == nil || !asked { // not the last word
		return j, nil
	}
	statement := append(envelope, '\n')
	j.Statement = proofhouse.DigestOf(statement)
	if err := writeFile(filepath.Join(dir, "reproduction.json"), write(statement)); err != nil {
		return judged{}, err
	}
	return j, writeJSON(filepath.Join(dir, "judged.json"), j)
}

// file makes the folder of a finding, which appears whole, and gives its place within the campaign's.
func (c *campaign) file(j judged) (string, error) {
	name := filepath.Join(findingFolder, j.Proof.Hex()[:12])
	to := filepath.Join(c.folder, name)
	if _, err := os.Stat(to); err == nil {
		return name, nil
	}
	filed, err := clearing.File(c.bench.Folder.Spec, c.id.Target, j.Proof, j.Statement, j.Reproduction, c.discovery())
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", err
	}
	stage, err := os.MkdirTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.Unavailable, err, "the campaign's folder cannot be written to")
	}
	defer os.RemoveAll(stage)
	for _, file := range []string{"proof", "reproduction.json"} {
		b, err := os.ReadFile(filepath.Join(c.folder, proofsFolder, j.Proof.Hex()[:12], file))
		if err == nil {
			err = os.WriteFile(filepath.Join(stage, file), b, 0o600)
		}
		if err != nil {
			return "", err
		}
	}
	if err := writeJSON(filepath.Join(stage, "finding.json"), filed); err != nil {
		return "", err
	}
	return name, os.Rename(stage, to)
}

// discovery is how the campaign finds, for those who are told.
func (c *campaign) discovery() clearing.Discovery {
	d := clearing.Discovery{Method: "fuzzing", Tooling: "proofhouse " + Version + ", agent " + c.req.Run.Agent, AI: "none"}
	if m := c.req.Run.Model; m.Name != "" {
		c.codename(&m)
		d.Method, d.Tooling, d.AI = "ai-discovered", d.Tooling+", model "+m.Codename, "found and examined by a model, "+m.Codename
	}
	return d
}

// used is what the model used so far, in trials and by those who examined.
func (c *campaign) used(trials bench.Result) bench.Spent {
	spent := of(trials)
	reviews, err := filepath.Glob(filepath.Join(c.folder, proofsFolder, "*", "review"))
	if err != nil {
		return spent
	}
	c.looked = 0
	for _, dir := range reviews {
		if r, err := bench.ReadResult(dir); err == nil {
			spent, c.looked = spent.Plus(of(r)), c.looked+r.Took
		}
	}
	return spent
}

// of is what a run used, the probes of its model included.
func of(r bench.Result) (s bench.Spent) {
	if r.Summary.Model != nil {
		s = *r.Summary.Model
	}
	for _, i := range r.Identity {
		s = s.Plus(i.Spent)
	}
	return s
}

// left is the budget less what is spent; met says that nothing is.
func left(b bench.Budget, s bench.Spent) (rest bench.Budget, met bool) {
	if b.Met(s, s.Messages) != "" {
		return b, true
	}
	sub := func(n, used int64) int64 { return max(0, n-used) }
	return bench.Budget{
		Tokens: sub(b.Tokens, s.Tokens()), NanoDollars: sub(b.NanoDollars, s.NanoDollars),
		Turns: int(sub(int64(b.Turns), int64(s.Turns))), Messages: int(sub(int64(b.Messages), int64(s.Messages))),
	}, false
}

// reviewTime bounds one examination where the request bounds no trial.
const reviewTime = 10 * time.Minute

// examine asks somebody who was not there: a conversation of its own, in a box of its own, that gets the proof, the target and
// the threat model. asked is false where the budget does not hold it, so that it is asked when there is more.
func (c *campaign) examine(ctx context.Context, dir string, proof []byte, trials bench.Result) (*Opinion, bool, error) {
	out := filepath.Join(dir, "review")
	result, err := bench.ReadResult(out)
	if err != nil || result.Status != "success" || result.Summary.Errors > 0 {
		req := c.req.Run
		req.Agent, req.Epochs, req.Level, req.Parallel, req.Out, req.Resume = "examiner", 1, -1, 1, out, true
		req.Command, req.AgentDir = "", ""
		req.Time = cmp.Or(req.Time, reviewTime)
		c.codename(&req.Model)
		req.Model.Told, req.Model.Unprobed = true, true
		var met bool
		if req.Model.Run, met = left(c.req.Run.Model.Run, c.used(trials)); met || req.RunTime > 0 && trials.Took+c.looked >= req.RunTime {
			return &Opinion{Reason: "the campaign's budget was used up before anybody could be asked: the same command with a larger one asks"}, false, nil
		}
		if req.RunTime > 0 {
			req.RunTime -= trials.Took + c.looked
		}
		c.say("asking somebody else about " + filepath.Base(dir))
		task := c.task("review-"+filepath.Base(dir), c.examination())
		task.Shown = map[string][]byte{"proof": proof, clearing.ThreatModelFile: c.text}
		task.Metadata.Cyber.Submit = bench.Submit{Path: "/out/answer", MaxBytes: 64 << 10, MaxSubmissions: 3, Score: "final"}
		result, err = c.perform(ctx, req, task, react.NewExaminer(), answers{})
		if proofhouse.KindOf(err) == proofhouse.Limit {
			return &Opinion{Reason: "the campaign's budget was used up while somebody was asked: the same command with a larger one goes on"}, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
	}
	return lastAnswer(out, result)
}

// lastAnswer is the opinion in the last submission that can be read.
func lastAnswer(folder string, result bench.Result) (*Opinion, bool, error) {
	for _, s := range result.Samples {
		if s.Error != "" {
			return &Opinion{Reason: "who was asked could not answer: " + s.Error}, false, nil
		}
		for _, sub := range slices.Backward(s.Submissions) {
			if sub.Verdict.Outcome != oracle.Solved {
				continue
			}
			b, err := bench.Artifact(folder, sub.Digest)
			if err != nil {
				return nil, false, err
			}
			o, _ := readOpinion(b)
			return &o, true, nil
		}
	}
	return &Opinion{Reason: "who was asked gave no answer that can be read"}, true, nil
}

// examination is what one who examines is told.
func (c *campaign) examination() string {
	return fmt.Sprintf(`# Is this a finding?

Somebody says that the file /task/proof shows a defect in %s.

- /src holds its source as it was built, and /src/harness the harness, which says how an input is used.
- %s FILE is the program.
- /task/%s is the threat model.

Find out whether it is one: whether the program breaks on it, in the software's own code, in a way that the threat model does not
leave out, and that whoever uses the software as it is meant to be used could meet.

Write your answer to /out/answer and submit it. Its first line is "real" or "not real", and nothing else; after it, in a few sentences, is why.
`, c.bench.Folder.Spec.Purl, strings.Join(c.target.Vulnerable.Argv, " "), clearing.ThreatModelFile)
}

// answers takes opinions that can be read.
type answers struct{}

// Verify implements bench.Verifier.
func (answers) Verify(_ context.Context, _ bench.Case, submission []byte) (bench.Judgement, error) {
	v := oracle.Verdict{Outcome: oracle.NoBreak, Reason: "the first line is neither real nor not real", Submission: proofhouse.DigestOf(submission), Bytes: int64(len(submission))}
	if o, ok := readOpinion(submission); ok {
		v.Outcome, v.Reason = oracle.Solved, "an answer that can be read: "+map[bool]string{true: "real", false: "not real"}[o.Real]
	}
	return bench.Judgement{Verdict: v}, nil
}

// maxReason bounds an opinion's reason, in bytes.
const maxReason = 500

// readOpinion reads an answer. What it says is a model's, and shown as one line.
func readOpinion(b []byte) (Opinion, bool) {
	first, rest, _ := strings.Cut(string(bytes.TrimSpace(b)), "\n")
	o := Opinion{Reason: bench.Printable(strings.Join(strings.Fields(rest), " "), maxReason)}
	switch strings.ToLower(strings.Trim(first, " \t\r.\"*`")) {
	case "real":
		o.Real = true
	case "not real":
		o.Reason = cmp.Or(o.Reason, "no reason was given")
	default:
		return Opinion{}, false
	}
	return o, true
}

// write is b for writeFile.
func write(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// writeJSON writes a file that is whole or not there.
func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return errors.Join(errors.New("writing "+filepath.Base(name)), err)
	}
	return writeFile(name, write(append(b, '\n')))
}
