package oracle

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/target"
)

// Quarantine is a folder for inputs that break a fixed build, and so perhaps
// software that people run. It has mode 0700, its files 0600 and names that
// say nothing. A count is all that leaves it: it is for one named person, who
// discloses in private. The methods log nothing and their errors name nothing
// that lies in it.
type Quarantine struct {
	dir  string
	salt []byte
}

// Survivor is one file of the quarantine.
type Survivor struct {
	Found      time.Time         `json:"found"`
	Task       string            `json:"task"`
	Language   target.Language   `json:"language"`
	Rule       Rule              `json:"rule"`
	Vulnerable target.Build      `json:"vulnerable"`
	Fixed      target.Build      `json:"fixed"`
	Verdict    Verdict           `json:"verdict"`
	Submission []byte            `json:"submission"`
	Report     string            `json:"report"`
	Statement  json.RawMessage   `json:"statement"`
	Raw        map[string]string `json:"raw"` // outputs by digest, as text where they are
	Retests    []Retest          `json:"retests,omitempty"`
}

// Retest is a survivor's run against a later build.
type Retest struct {
	At     time.Time         `json:"at"`
	Source string            `json:"source"`
	Image  proofhouse.Digest `json:"image"`
	Breaks bool              `json:"breaks"`
}

const saltFile = ".salt"

// OpenQuarantine opens the quarantine in dir, or makes it. A folder that
// others may enter is proofhouse.Refused.
func OpenQuarantine(dir string) (*Quarantine, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the quarantine's folder cannot be made")
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 {
		return nil, proofhouse.Errorf(proofhouse.Refused, nil, "the quarantine is not a folder of mode 0700: nobody else may enter it, so change its mode or choose another")
	}
	q := &Quarantine{dir: dir}
	q.salt, err = os.ReadFile(filepath.Join(dir, saltFile))
	if errors.Is(err, fs.ErrNotExist) {
		q.salt = make([]byte, 32)
		_, _ = rand.Read(q.salt) // never fails
		err = q.write(saltFile, q.salt)
	}
	return q, err
}

// survivor collects what the quarantine keeps.
func survivor(now time.Time, c Case, v Verdict, ev Evidence, submission []byte) Survivor {
	s := Survivor{
		Found: now.UTC(), Task: c.Name, Language: c.Target.Language, Rule: c.Rule, Vulnerable: c.Target.Vulnerable, Fixed: c.Target.Fixed,
		Verdict: v, Submission: submission, Report: ev.Report, Statement: ev.Statement, Raw: map[string]string{},
	}
	for _, o := range v.Observations {
		for name, d := range o.Raw {
			s.Raw[o.Side+"-"+name+"-"+d.Short()] = string(ev.Artifacts[d])
		}
	}
	return s
}

// Put keeps a survivor; the same input against the same build is kept once. It
// is on disk when Put returns.
func (q *Quarantine) Put(s Survivor) error {
	m := hmac.New(sha256.New, q.salt)
	m.Write([]byte(s.Fixed.Image.Digest))
	m.Write(s.Submission)
	name := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(m.Sum(nil)[:15]))
	if _, err := os.Lstat(filepath.Join(q.dir, name)); err == nil {
		return nil
	}
	return q.put(name, s)
}

func (q *Quarantine) put(name string, s Survivor) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return q.write(name, b)
}

// write puts a file under its name when it is whole.
func (q *Quarantine) write(name string, b []byte) (err error) {
	tmp, err := os.CreateTemp(q.dir, ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(q.dir, name))
}

// names are the files of survivors.
func (q *Quarantine) names() ([]string, error) {
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// Count is how many survivors there are: all that anybody else may know.
func (q *Quarantine) Count() (int, error) {
	names, err := q.names()
	return len(names), err
}

// Retested counts what a retest found.
type Retested struct {
	Breaks   int // still broken
	Clean    int // the latest build runs the input to its end
	Untested int // no later build at hand, or an error of ours
}

// Retest runs every survivor against the latest build of its software, which
// latest gives by task, and notes the result with it.
func (q *Quarantine) Retest(ctx context.Context, o *Oracle, latest func(task string) (target.Build, bool)) (Retested, error) {
	var out Retested
	names, err := q.names()
	if err != nil {
		return out, err
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(q.dir, name))
		if err != nil {
			return out, err
		}
		var s Survivor
		if err := json.NewDecoder(bytes.NewReader(b)).Decode(&s); err != nil {
			out.Untested++
			continue
		}
		build, ok := latest(s.Task)
		if !ok {
			out.Untested++
			continue
		}
		breaks, err := o.breaks(ctx, s.Language, s.Rule, build, s.Submission)
		switch {
		case ctx.Err() != nil:
			return out, ctx.Err()
		case err != nil:
			out.Untested++
			continue
		case breaks:
			out.Breaks++
		default:
			out.Clean++
		}
		s.Retests = append(s.Retests, Retest{At: o.cfg.Now().UTC(), Source: build.Source, Image: build.Image.Digest, Breaks: breaks})
		if err := q.put(name, s); err != nil {
			return out, err
		}
	}
	return out, nil
}

// breaks says whether a build breaks on an input in each of the rule's runs.
func (o *Oracle) breaks(ctx context.Context, lang target.Language, rule Rule, b target.Build, submission []byte) (bool, error) {
	in, err := newInput(submission)
	if err != nil {
		return false, err
	}
	defer in.close()
	s := &seat{pool: o.pool, lang: lang, rule: rule.Or(), side: target.Fixed, build: b, input: in}
	defer s.stop()
	for n := 1; n <= s.rule.Runs; n++ {
		raw, err := s.run(ctx, n, s.rule.cpuBound())
		if err != nil {
			return false, err
		}
		if obs := o.see(s, raw).obs; !obs.Broke && obs.Bound != boundCPU && obs.Bound != boundMemory {
			return false, nil
		}
	}
	return true, nil
}
