package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/vault"
)

// program is a process that says as it starts, in JSON, where it is.
type program struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	done bool
	URL  string
	Key  string // a witness's
	Log  string // the key of a house's log
	Code string // for a house's first administrator
}

// start starts the command and waits until it answers.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command("proofhouse", append(args, "--json")...)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &p.said
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGINT)
		if t.Failed() || strings.Contains(p.said.String(), "panic") {
			t.Log(p.said.String())
		}
	})
	if err := json.NewDecoder(out).Decode(p); err != nil {
		t.Fatalf("%q does not start: %v: %s", args, err, p.said.String())
	}
	return p
}

// end sends a signal and waits for the end.
func (p *program) end(s syscall.Signal) {
	if !p.done {
		_ = p.cmd.Process.Signal(s)
		_ = p.cmd.Wait()
		p.done = true
	}
}

// command runs one to its end.
func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("proofhouse", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", args, err, out)
	}
	return string(out)
}

// town is the people of a house, by name, as clients of it.
type town struct {
	data, database string
	tokens         map[string]string
}

// settle brings people into a house that nobody is in yet. The register is opened beside the
// program that serves, as a second process would.
func settle(t *testing.T, data, database string, p *program) *town {
	t.Helper()
	w := &town{data: data, database: database, tokens: map[string]string{}}
	claimed, err := wire.Client{URL: p.URL}.Claim(t.Context(), wire.Claim{
		Code: p.Code, Organisation: "institute", OrganisationTitle: "The Institute", Person: "ann", PersonTitle: "Ann",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.tokens["ann"] = claimed.Token
	w.directory(t, func(d app.Directory) {
		ann, now := w.principal(t, d, "ann"), time.Now()
		if err := d.CreateOrganisation(t.Context(), ann, policy.Organisation{ID: "lab", Title: "lab"}, now); err != nil {
			t.Fatal(err)
		}
		for name, o := range map[string]proofhouse.OrganisationID{"rita": "institute", "otto": "institute", "ada": "lab", "bob": "lab"} {
			if err := d.CreatePerson(t.Context(), ann, policy.Person{Organisation: o, ID: proofhouse.PersonID(name), Title: name}, now); err != nil {
				t.Fatal(err)
			}
			if w.tokens[name], _, err = d.IssueToken(t.Context(), ann, name+"@"+string(o), "test", now.Add(time.Hour), now); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.GiveRole(t.Context(), ann, "rita@institute", policy.HouseRegistrar, now); err != nil {
			t.Fatal(err)
		}
	})
	return w
}

// directory opens the register of people for a moment.
func (w *town) directory(t *testing.T, do func(app.Directory)) {
	t.Helper()
	db, err := store.OpenExisting(t.Context(), w.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	keys := vault.New(filepath.Join(w.data, "vault"), filepath.Join(w.data, "keys", "house.key")).Records(filepath.Join(w.data, "keys", "case"))
	guard, err := policy.NewGuard()
	if err != nil {
		t.Fatal(err)
	}
	do(app.Directory{People: store.NewPeople(db, keys), Guard: guard, Cases: store.NewDocket(db, keys)})
}

func (w *town) principal(t *testing.T, d app.Directory, name string) policy.Principal {
	t.Helper()
	who, err := d.Authenticate(t.Context(), w.tokens[name], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return policy.Principal{Person: who}
}

func (w *town) as(p *program, name string) wire.Client {
	return wire.Client{URL: p.URL, Token: w.tokens[name]}
}

// open opens a case that the body takes up, with its responsible authority.
func (w *town) open(t *testing.T, p *program) proofhouse.CaseID {
	t.Helper()
	c, err := w.as(p, "ada").Open(t.Context(), wire.Open{OpenCase: docket.OpenCase{Codename: "heron", Variants: []string{"deployed"}}, Profile: "institute"}, "")
	if err != nil {
		t.Fatal(err)
	}
	w.do(t, p, "rita", c.ID, docket.Accept{})
	w.do(t, p, "rita", c.ID, docket.Join{Member: proofhouse.Actor{Organisation: "institute", Person: "otto", Role: proofhouse.Authority}})
	return c.ID
}

func (w *town) do(t *testing.T, p *program, who string, id proofhouse.CaseID, a docket.Act) {
	t.Helper()
	if _, err := w.as(p, who).Do(t.Context(), id, a, wire.Options{}); err != nil {
		t.Fatalf("%s by %s: %v", a.Kind(), who, err)
	}
}

// bundle gets a case's bundle, with the approvals that it takes.
func (w *town) bundle(t *testing.T, p *program, id proofhouse.CaseID) string {
	t.Helper()
	var request string
	w.directory(t, func(d app.Directory) {
		asked, err := d.Ask(t.Context(), w.principal(t, d, "ada"), id, policy.Export, "", "for counsel", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"rita", "otto"} {
			if _, err := d.Approve(t.Context(), w.principal(t, d, name), asked.ID, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		request = asked.ID
	})
	name := filepath.Join(t.TempDir(), "bundle")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := w.as(p, "ada").Bundle(t.Context(), id, "", request, f); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestBundleWitnessed serves one house without a witness and then with one, which is a process of its own.
func TestBundleWitnessed(t *testing.T) {
	data := t.TempDir()
	database := "sqlite:" + filepath.Join(data, "house.db")
	house := start(t, "serve", "--data", data, "--addr", "127.0.0.1:0", "--log-name", "review.example/log")
	w := settle(t, data, database, house)
	id := w.open(t, house)
	if out := command(t, "verify", w.bundle(t, house, id), "--log-key", house.Log); !strings.Contains(out, "the operator's word only") || strings.Contains(out, "witnessed") {
		t.Errorf("without a witness, verify says %s", out)
	}
	house.end(syscall.SIGINT)

	known, witnesses := filepath.Join(t.TempDir(), "log.vkey"), filepath.Join(t.TempDir(), "witnesses")
	write(t, known, house.Log+"\n")
	witness := start(t, "witness", "serve", "--dir", t.TempDir(), "--log", known)
	write(t, witnesses, "# who watches us\n\n"+witness.Key+" \t "+witness.URL+"\n")
	house = start(t, "serve", "--data", data, "--addr", "127.0.0.1:0", "--witnesses", witnesses)
	w.do(t, house, "ada", id, docket.Announce{Date: time.Now()})
	bundle := w.bundle(t, house, id)
	if out := command(t, "verify", bundle, "--log-key", house.Log, "--witness", witness.Key); !strings.Contains(out, "witnessed by 1: witness.example/w1") {
		t.Errorf("with a witness, verify says %s", out)
	}
	if out := command(t, "verify", bundle); !strings.Contains(out, "witnessed by 1 whose keys only the bundle vouches for") {
		t.Errorf("to one who knows no witness, verify says %s", out)
	}

	// A witness that is away holds nobody up, and nobody says that it was there.
	witness.end(syscall.SIGKILL)
	w.do(t, house, "ada", id, docket.Announce{Date: time.Now()})
	if out := command(t, "verify", w.bundle(t, house, id), "--log-key", house.Log, "--witness", witness.Key); !strings.Contains(out, "the operator's word only") {
		t.Errorf("after the witness's end, verify says %s", out)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
