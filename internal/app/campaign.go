package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	packageurl "github.com/package-url/packageurl-go"

	"proofhouse/internal/bench"
	"proofhouse/internal/clearing"
	"proofhouse/internal/oracle"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
	"proofhouse/tasks"
)

// CampaignRequest points an agent at one's own software.
type CampaignRequest struct {
	Target string // a folder with target.toml, or the purl of a recipe that ships
	// ThreatModel is a file with the project's declaration; "" is that of the target's folder, or a first version is written.
	ThreatModel string
	// Run says who tries, how often and within which bounds. Its suite and tasks are not used; Out is the campaign's
	// folder, "" is one in the data folder that follows from the request, so that the same request goes on with it.
	Run RunRequest
}

// What lies in a campaign's folder.
const (
	campaignName  = "campaign.json"
	campaignLock  = "lock"
	targetFolder  = "target"
	trialsFolder  = "trials"   // of a run: journal, results.json, report.html
	proofsFolder  = "proofs"   // one folder an input: proof, review/, reproduction.json, judged.json
	findingFolder = "findings" // one folder a confirmed input: finding.json, proof, reproduction.json
)

// CampaignID is what a campaign is: the same in all the times that it is taken up.
type CampaignID struct {
	Version     int               `json:"version"` // 1
	Purl        string            `json:"purl"`
	Target      proofhouse.Digest `json:"target"` // of the folder's archive
	ThreatModel proofhouse.Digest `json:"threat_model"`
	Agent       string            `json:"agent"`
}

// campaign is one under way.
type campaign struct {
	app    *App
	req    CampaignRequest
	say    func(string)
	folder string
	id     CampaignID
	lock   *os.File
	source clearing.Folder
	model  clearing.ThreatModel
	text   []byte // of the threat model
	target target.Target
	bench  *Bench
	looked time.Duration // that examinations took
}

// Campaign builds a target, has an agent look for inputs that break it, has each examined and reproduced, and files what
// is confirmed. The same request again goes on where it was stopped. When ctx ends, the result has the status "cancelled".
func (a *App) Campaign(ctx context.Context, req CampaignRequest, say func(string)) (CampaignResult, error) {
	if err := req.check(); err != nil {
		return CampaignResult{}, err
	}
	tried, err := a.newAgent(req.Run)
	if err != nil {
		return CampaignResult{}, err
	}
	if _, ok := tried.(bench.Replayer); ok {
		return CampaignResult{}, proofhouse.Errorf(proofhouse.Invalid, nil, "agent %s replays references, and a campaign has none: choose baseline, react or external", tried.Name())
	}
	c := &campaign{app: a, req: req, say: say}
	if err := c.open(); err != nil {
		return CampaignResult{}, err
	}
	defer c.lock.Close()
	if err := c.build(ctx); err != nil {
		return CampaignResult{}, err
	}
	trials, err := c.try(ctx, tried)
	if err != nil {
		return CampaignResult{}, err
	}
	return c.conclude(ctx, trials)
}

// check says what is missing before anything is read.
func (r CampaignRequest) check() error {
	bad := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, format, args...)
	}
	run, m := r.Run, r.Run.Model
	switch {
	case r.Target == "" || run.Agent == "":
		return bad("name what to look at and who looks: --target PURL or FOLDER, --agent baseline, react or external")
	case m.Told:
		return bad("--told is for tasks with an answer: a campaign has none to tell")
	case m.Name != "" && m.Run.Tokens == 0 && m.Run.NanoDollars == 0 && m.Run.Turns == 0:
		return bad("say what the campaign may use: --run-token-limit, --dollars or --run-turns")
	case m.Name == "" && run.Time == 0 && run.RunTime == 0:
		return bad("say how long the campaign may go on: --time for each trial, --run-time for all")
	}
	return nil
}

// open finds the target, makes or takes up the folder, and settles the threat model.
func (c *campaign) open() (err error) {
	if c.source.FS, err = targetFS(c.req.Target); err != nil {
		return err
	}
	packed, err := clearing.Pack(c.source.FS)
	if err != nil {
		return err
	}
	if c.source, err = clearing.ReadFolder(c.source.FS); err != nil {
		return err
	}
	given, err := c.givenModel()
	if err != nil {
		return err
	}
	c.id = CampaignID{Version: 1, Purl: c.source.Spec.Purl, Target: proofhouse.DigestOf(packed), Agent: c.req.Run.Agent}
	if c.folder = c.req.Run.Out; c.folder == "" {
		c.folder = c.app.Config.dir("campaigns", c.name(given))
	}
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the campaign's folder cannot be made: name another with --out")
	}
	if c.lock, err = lockFile(filepath.Join(c.folder, campaignLock), "campaign"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			c.lock.Close()
		}
	}()
	return c.begin(given)
}

// begin holds the folder to the request, or fills a new one. campaign.json comes last: without it nothing was begun.
func (c *campaign) begin(given []byte) error {
	var was CampaignID
	known := false
	if b, err := os.ReadFile(filepath.Join(c.folder, campaignName)); err == nil {
		if known = json.Unmarshal(b, &was) == nil; !known {
			return proofhouse.Errorf(proofhouse.Integrity, nil, "the campaign's folder cannot be read: name another with --out")
		}
	} else if entries, err := os.ReadDir(c.folder); err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return !slices.Contains([]string{campaignLock, targetFolder, clearing.ThreatModelFile}, e.Name())
	}) {
		return proofhouse.Errorf(proofhouse.Conflict, err, "the folder holds something that is no campaign: name another with --out")
	}
	file := filepath.Join(c.folder, clearing.ThreatModelFile)
	c.text = given
	if kept, err := os.ReadFile(file); given == nil && err == nil {
		c.text = kept
	}
	drafted := c.text == nil
	if drafted {
		c.text = []byte(clearing.DraftDeclaration(c.source))
	}
	declared, err := clearing.ParseDeclaration(c.text)
	if err != nil {
		return err
	}
	c.model, c.id.ThreatModel = declared.Model, proofhouse.DigestOf(c.text)
	switch {
	case !known:
	case was.ThreatModel != c.id.ThreatModel:
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the threat model has changed since this campaign began: begin another with --threat-model FILE --out FOLDER, or put it back")
	case was != c.id:
		return proofhouse.Errorf(proofhouse.Conflict, nil, "the folder holds another campaign, of another target or agent: name another with --out")
	default:
		return nil
	}
	if drafted {
		c.say("no threat model was given: a first version is " + file + ", and the campaign goes on with it; edit it for the next one")
	}
	if err := writeFile(file, write(c.text)); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(c.folder, targetFolder)); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(c.folder, targetFolder), c.source.FS); err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "the target cannot be copied into the campaign's folder")
	}
	return writeJSON(filepath.Join(c.folder, campaignName), c.id)
}

// givenModel is the threat model that the request or the target has, nil for none.
func (c *campaign) givenModel() ([]byte, error) {
	if c.req.ThreatModel != "" {
		return ReadInput(c.req.ThreatModel)
	}
	b, err := fs.ReadFile(c.source.FS, clearing.ThreatModelFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// name is the folder's that follows from the request, its budget left out.
func (c *campaign) name(given []byte) string {
	r := c.req.Run
	what, err := json.Marshal([]any{c.id, proofhouse.DigestOf(given), r.Model.Name, r.Model.Upstream, r.Command, r.Epochs, r.Time, r.Seed})
	if err != nil {
		panic(err) // strings and numbers
	}
	p, err := packageurl.FromString(c.id.Purl)
	if err != nil {
		panic(err) // ReadFolder has read it
	}
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(p.Name+"-"+p.Version))
	return strings.Trim(plain[:min(len(plain), 60)], "-.") + "-" + r.Agent + "-" + proofhouse.DigestOf(what).Hex()[:8]
}

// targetFS is a target's folder: of this machine, or a recipe that ships.
func targetFS(name string) (fs.FS, error) {
	if !strings.HasPrefix(name, "pkg:") {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			return nil, proofhouse.Errorf(proofhouse.NotFound, err, "%s is no folder: a target is a folder with %s, or a purl", name, clearing.SpecFile)
		}
		return os.DirFS(name), nil
	}
	asked, err := packageurl.FromString(name)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "%q is no package URL: write one such as pkg:npm/minimist@1.2.0", name)
	}
	var kept []string
	recipes := tasks.Recipes()
	entries, err := fs.ReadDir(recipes, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		sub, err := fs.Sub(recipes, e.Name())
		if err != nil {
			return nil, err
		}
		folder, err := clearing.ReadFolder(sub)
		if err != nil {
			return nil, err
		}
		p, err := packageurl.FromString(folder.Spec.Purl)
		if err != nil {
			return nil, err
		}
		if p.ToString() == asked.ToString() {
			return sub, nil
		}
		kept = append(kept, "  "+folder.Spec.Purl)
	}
	return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "no recipe is kept for that purl: write a folder with %s (docs/design/clearing.md), or take one of\n%s", clearing.SpecFile, strings.Join(kept, "\n"))
}

// build makes what the agent works on, in boxes, from the copy that the campaign keeps.
func (c *campaign) build(ctx context.Context) (err error) {
	if c.bench, err = c.app.OpenBench(filepath.Join(c.folder, targetFolder)); err != nil {
		return err
	}
	if c.bench.Archive != c.id.Target {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the copy of the target in the campaign's folder was changed: name another folder with --out")
	}
	c.bench.Model = c.model
	if err := c.app.needKey(c.say); err != nil {
		return err
	}
	made, err := c.app.Builder(nil)
	if err != nil {
		return err
	}
	c.target, err = made.(builder).Single(ctx, c.bench.Folder.FS, c.bench.Folder.Spec.Recipe(), c.say)
	return err
}

// needKey makes the key that signs what the oracle saw, if there is none.
func (a *App) needKey(say func(string)) error {
	switch file, id, err := a.CreateKey(); {
	case err == nil:
		say(fmt.Sprintf("made the key %s, which signs what the oracle sees: its public half is %s", id, file))
		return nil
	case proofhouse.KindOf(err) == proofhouse.Conflict:
		return nil
	default:
		return err
	}
}

// try runs the trials, or reads those that are over.
func (c *campaign) try(ctx context.Context, tried bench.Agent) (bench.Result, error) {
	out := filepath.Join(c.folder, trialsFolder)
	if was, err := bench.ReadResult(out); err == nil && was.Status == "success" && was.Summary.Errors == 0 {
		return was, nil
	}
	task := c.task("target", c.instruction())
	task.Metadata.Cyber.Submit = bench.Submit{Path: "/out/poc", MaxBytes: 1 << 20, MaxSubmissions: 100, Score: "every"}
	req := c.req.Run
	req.Out, req.Resume, req.Level = out, true, -1
	c.codename(&req.Model)
	if req.Model.Name != "" {
		req.Model.Run, req.RunTime = share(req.Model.Run), req.RunTime-req.RunTime/4
	}
	result, err := c.perform(ctx, req, task, tried, lookout{c.bench.boxes.Oracle})
	if result.Run == "" && err != nil && proofhouse.KindOf(err) == proofhouse.Limit {
		if was, lost := bench.ReadResult(out); lost == nil {
			result = was
		}
	}
	if result.Run != "" && proofhouse.KindOf(err) == proofhouse.Limit {
		c.say("the budget of the trials is used up: " + proofhouse.PublicOf(err))
		err = nil
	}
	return result, err
}

// share is what of a model's budget the trials may use: a quarter is kept for those who examine.
func share(b bench.Budget) bench.Budget {
	return bench.Budget{Tokens: b.Tokens - b.Tokens/4, NanoDollars: b.NanoDollars - b.NanoDollars/4, Turns: b.Turns - b.Turns/4, Messages: b.Messages - b.Messages/4}
}

// codename gives the model one name in all folders of the campaign.
func (c *campaign) codename(m *ModelRequest) {
	if m.Name != "" && m.Codename == "" {
		m.Codename = "model-" + proofhouse.DigestOf([]byte(c.folder)).Hex()[:6]
	}
}

// task is the target as a task that has no fixed side.
func (c *campaign) task(name, instruction string) bench.Task {
	t := bench.Task{
		Task: bench.TaskInfo{Name: proofhouse.TaskID("campaign/" + name)}, Instruction: "\n" + instruction, Digest: c.id.Target,
		Environment: bench.Environment{NetworkMode: "no-network"},
	}
	s := c.bench.Folder.Spec
	t.Metadata.Cyber = bench.Cyber{Kind: "poc", Class: string(s.Rule().Symptom), Cluster: s.Purl, Oracle: s.Rule(), Target: s.Recipe()}
	return t
}

// perform runs one task of the campaign with the engine of runs.
func (c *campaign) perform(ctx context.Context, req RunRequest, task bench.Task, tried bench.Agent, by bench.Verifier) (bench.Result, error) {
	built := bench.Built{Version: 1, Task: task.Task.Name, Folder: c.id.Target, Target: c.target}
	whole := proofhouse.DigestOf([]byte(built.Digest().Hex() + " " + c.id.ThreatModel.Hex()))
	return c.app.perform(ctx, req, nil, bench.Setup{
		Suite:  bench.SuiteRef{Name: "campaign", Digest: whole, Tasks: 1},
		Trials: []bench.Trial{{Task: task, Built: built}}, Agent: tried, Verifier: by,
		Notes: []string{"a campaign: there is no fixed build, and nothing here is a score"},
	})
}

// instruction is what the agent is told.
func (c *campaign) instruction() string {
	s := c.bench.Folder.Spec
	return fmt.Sprintf(`# Find what breaks in this software

The software is %s. Nobody has told you of a defect in it, and there may be none.

- /src holds its source as it was built, and /src/harness the harness, which says how an input is used, with harmless inputs in seeds, if it has any.
- %s FILE is the program.
- /fuzz holds the same, built for fuzzing.

Find inputs that break it in the sense of the threat model below: as many different defects as you can. Write an input to /out/poc (at most
1048576 bytes) and submit it, then go on with the next. Each is judged elsewhere, in fresh boxes and several times, and what the program prints does not count.

## The threat model

%s`, s.Purl, strings.Join(c.target.Vulnerable.Argv, " "), c.text)
}

// lookout sees whether a submission breaks the one build that there is.
type lookout struct{ oracle *oracle.Oracle }

// Verify implements bench.Verifier.
func (l lookout) Verify(ctx context.Context, c bench.Case, submission []byte) (bench.Judgement, error) {
	began := time.Now()
	n := c.Rule.Or().Runs
	sight, err := l.oracle.Observe(ctx, oracle.Subject{Language: c.Target.Language, Build: c.Target.Vulnerable, Rule: c.Rule}, submission, n)
	if err != nil {
		return bench.Judgement{}, err
	}
	v := oracle.Verdict{
		Outcome: oracle.NoBreak, Reason: fmt.Sprintf("broke nothing in %d runs", n), Signature: sight.Signature(),
		Submission: proofhouse.DigestOf(submission), Bytes: int64(len(submission)), Observations: sight.Observations, Took: time.Since(began),
	}
	switch broke := sight.Broke(); {
	case broke == n:
		v.Outcome, v.Reason = oracle.Breaks, fmt.Sprintf("%s in %d of %d runs", cmp.Or(v.Signature, "a break"), n, n)
	case broke > 0:
		v.Outcome, v.Reason = oracle.Flaky, fmt.Sprintf("broke in %d of %d runs only", broke, n)
	case sight.Bounded():
		v.Outcome, v.Reason = oracle.LimitHit, "ran into a limit that the target is not about"
	}
	return bench.Judgement{Verdict: v, Report: sight.Report, Artifacts: sight.Artifacts}, nil
}

// lockFile takes the lock of what's folder, which ends with the process.
func lockFile(name, what string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the %s's folder cannot be written to: check its rights, or name another", what)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, proofhouse.Errorf(proofhouse.Conflict, err, "another process works on this %s: wait for it or stop it", what)
	}
	return f, nil
}
