package app

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/oauth2"

	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// issuer is where people have accounts by which they sign in (OpenID Connect Core 1.0, the code flow with PKCE). It is
// asked when somebody comes, so the house opens without it.
type issuer struct {
	policy.Issuer
	config oauth2.Config // without the endpoints

	mu     sync.Mutex
	known  *oidc.Provider // nil until it answered
	silent time.Time      // when it did not, the last time
}

// accountClient asks issuers. What they answer is small, and not waited for long.
var accountClient = &http.Client{Timeout: 10 * time.Second}

// back is where an issuer sends browsers. Each has an address of its own, so that none can pass off its answer as another's.
func (i *issuer) back() string { return "/sign-in/account/" + i.ID + "/back" }

// issuerPause is how long an issuer that did not answer is not asked again: strangers who come meanwhile are told at once, and none
// waits behind the others.
const issuerPause = 10 * time.Second

// provider is the issuer's own description of itself.
func (i *issuer) provider(ctx context.Context) (*oidc.Provider, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known != nil {
		return i.known, nil
	}
	var err error
	if time.Since(i.silent) > issuerPause {
		if i.known, err = oidc.NewProvider(oidc.ClientContext(ctx, accountClient), i.Address); err == nil {
			return i.known, nil
		}
		i.known, i.silent = nil, time.Now()
	}
	return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "%s does not answer: try again in a minute, or come in another way", i.Title)
}

// maxIssuers bounds the file of issuers, in bytes.
const maxIssuers = 64 << 10

var issuerID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// readIssuers reads a file of issuers, for a house that browsers reach at address. Secrets are in files of their own beside it.
func readIssuers(name, address string) ([]*issuer, error) {
	if name == "" {
		return nil, nil
	}
	if address == "" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "issuers send browsers back to the house: say with --url where browsers reach it")
	}
	text, err := os.ReadFile(name)
	if err != nil || len(text) > maxIssuers {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "%s is no file of issuers that can be read", filepath.Base(name))
	}
	var file struct {
		Issuer []struct {
			ID         string `toml:"id"`
			Title      string `toml:"title"`
			Address    string `toml:"address"`
			Client     string `toml:"client"`
			SecretFile string `toml:"secret_file"`
		} `toml:"issuer"`
	}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&file); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the file of issuers is a list of [[issuer]] with id, title, address, client and, where there is one, secret_file")
	}
	var all []*issuer
	seen := map[string]bool{}
	for _, f := range file.Issuer {
		switch {
		case !issuerID.MatchString(f.ID) || seen[f.ID]:
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "an issuer's id is a word of its own of a-z, 0-9 and -, at most 40")
		case f.Title == "" || len(f.Title) > 100 || f.Client == "":
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the issuer %s needs a title of at most 100 bytes and a client", f.ID)
		case !secureAddress(f.Address):
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the issuer %s needs an address: https, or http on this machine", f.ID)
		}
		i := &issuer{Issuer: policy.Issuer{ID: f.ID, Title: f.Title, Address: f.Address}}
		i.config = oauth2.Config{ClientID: f.Client, RedirectURL: strings.TrimSuffix(address, "/") + i.back(), Scopes: []string{oidc.ScopeOpenID}}
		if f.SecretFile != "" {
			file, err := openPrivate(filepath.Join(filepath.Dir(name), f.SecretFile), "the secret of the issuer "+f.ID)
			if err != nil {
				return nil, err
			}
			secret, err := io.ReadAll(io.LimitReader(file, maxIssuers))
			file.Close()
			if err != nil {
				return nil, err
			}
			i.config.ClientSecret = strings.TrimSpace(string(secret))
		}
		seen[f.ID], all = true, append(all, i)
	}
	return all, nil
}

// secureAddress is one that nobody between can read.
func secureAddress(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// Issuers are where people may have accounts by which they sign in.
func (d *Door) Issuers() (all []policy.Issuer) {
	for _, i := range d.issuers {
		all = append(all, i.Issuer)
	}
	return all
}

func (d *Door) issuer(id string) (*issuer, error) {
	for _, i := range d.issuers {
		if i.ID == id {
			return i, nil
		}
	}
	return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such issuer of accounts")
}

// The kinds of ceremonies with accounts.
const (
	askingAccount = "ask for an account elsewhere"
	addingAccount = "add an account elsewhere"
)

// accountAsked is what a browser carries to an issuer and back.
type accountAsked struct {
	Issuer   string `json:"issuer"`
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	To       string `json:"to"`             // the page that they wanted
	Adds     string `json:"adds,omitempty"` // whose account it is to become; "" is a sign-in
}

// accountShown is an account that its owner has shown, and that is not added yet.
type accountShown struct {
	Owner   string `json:"owner"`
	Issuer  string `json:"issuer"` // the address
	Subject string `json:"subject"`
	State   string `json:"state"`
}

// AskAccount is where a browser is sent to show an account with the issuer of that id, and the ceremony that it carries meanwhile. Without
// who it is to sign in and to go on to the page to, with who it becomes a way in of theirs.
func (d *Door) AskAccount(ctx context.Context, id, to string, who policy.Person, now time.Time) (address, ceremony string, err error) {
	i, err := d.issuer(id)
	if err != nil {
		return "", "", err
	}
	p, err := i.provider(ctx)
	if err != nil {
		return "", "", err
	}
	asked := accountAsked{Issuer: id, State: proofhouse.Token(20), Nonce: proofhouse.Token(20), Verifier: oauth2.GenerateVerifier(), To: to}
	if who.ID != "" {
		asked.Adds = who.Name()
	}
	if ceremony, err = d.asked.begin(askingAccount, asked, now); err != nil {
		return "", "", err
	}
	c := i.config
	c.Endpoint = p.Endpoint()
	return c.AuthCodeURL(asked.State, oidc.Nonce(asked.Nonce), oauth2.S256ChallengeOption(asked.Verifier)), ceremony, nil
}

// errAccount tells an outsider nothing of what is wrong.
func errAccount(err error) error {
	return proofhouse.Errorf(proofhouse.Refused, err, "this account was not taken: try again, or come in another way")
}

// Account takes what an issuer sent a browser back with. It opens a session for whose account it is, and gives the page that they wanted; of an
// account that is to be added it gives the ceremony for AddAccount instead. Every other answer is proofhouse.Refused.
func (d *Door) Account(ctx context.Context, id, ceremony string, answer url.Values, now time.Time) (session, to, adding string, err error) {
	i, err := d.issuer(id)
	if err != nil {
		return "", "", "", err
	}
	var asked accountAsked
	ends, err := d.asked.open(askingAccount, ceremony, &asked, now)
	if err != nil {
		return "", "", "", err
	}
	if asked.Issuer != id || subtle.ConstantTimeCompare([]byte(asked.State), []byte(answer.Get("state"))) != 1 {
		return "", "", "", errAccount(errors.New("another state"))
	}
	if iss := answer.Get("iss"); iss != "" && iss != i.Address { // RFC 9207
		return "", "", "", errAccount(errors.New("another issuer"))
	}
	if answer.Get("error") != "" {
		return "", "", "", proofhouse.Errorf(proofhouse.Refused, nil, "%s did not let you in: try again, or come in another way", i.Title)
	}
	if err := d.asked.spend(asked.State, ends, now); err != nil {
		return "", "", "", err
	}
	subject, err := i.subject(ctx, answer.Get("code"), asked, now)
	if err != nil {
		return "", "", "", err
	}
	if asked.Adds != "" {
		adding, err = d.asked.begin(addingAccount, accountShown{asked.Adds, i.Address, subject, asked.State}, now)
		return "", "", adding, err
	}
	session, err = d.account(ctx, policy.HashAccount(i.Address, subject), now)
	return session, asked.To, "", err
}

// subject is whose account it is, as the issuer says it of a code: by a token that it signed for this house, and for this question.
func (i *issuer) subject(ctx context.Context, code string, asked accountAsked, now time.Time) (string, error) {
	p, err := i.provider(ctx)
	if err != nil {
		return "", err
	}
	ctx = oidc.ClientContext(ctx, accountClient)
	c := i.config
	c.Endpoint = p.Endpoint()
	tokens, err := c.Exchange(ctx, code, oauth2.VerifierOption(asked.Verifier))
	if err != nil {
		return "", errAccount(err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return "", errAccount(errors.New("no token of an identity"))
	}
	token, err := p.Verifier(&oidc.Config{ClientID: i.config.ClientID, Now: func() time.Time { return now }}).Verify(ctx, raw)
	if err != nil {
		return "", errAccount(err)
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(asked.Nonce)) != 1 {
		return "", errAccount(errors.New("another nonce"))
	}
	if token.Subject == "" {
		return "", errAccount(errors.New("nobody's"))
	}
	return token.Subject, nil
}

// account opens a session for whose account has that hash.
func (d *Door) account(ctx context.Context, hash string, now time.Time) (session string, err error) {
	way, err := d.directory.People.WayByHash(ctx, hash)
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		return "", proofhouse.Errorf(proofhouse.Refused, nil, "that account opens nothing here: come in by token, and add it under your name at the top")
	}
	if err != nil {
		return "", err
	}
	err = d.directory.People.Change(ctx, func(tx store.PeopleTx) error {
		if way, err = tx.ChangeWay(ctx, way.ID, func(w *policy.Way) error { *w = usedAt(*w, now); return nil }); err != nil {
			return err
		}
		session, err = d.directory.openSession(ctx, tx, way.Owner, way.ID, now.Add(policy.SessionLife), now)
		return err
	})
	if proofhouse.KindOf(err) == proofhouse.NotFound { // it was removed meanwhile
		return "", errAccount(err)
	}
	return session, err
}

// AddAccount makes the account that who has shown one of their ways in.
func (d *Door) AddAccount(ctx context.Context, who policy.Person, ceremony, label string, now time.Time) error {
	var shown accountShown
	ends, err := d.asked.open(addingAccount, ceremony, &shown, now)
	if err != nil {
		return err
	}
	if shown.Owner != who.Name() {
		return errAccount(errors.New("somebody else began"))
	}
	if err := d.asked.spend("added "+shown.State, ends, now); err != nil {
		return err
	}
	_, err = d.directory.addWay(ctx, policy.Principal{Person: who}, who.Name(), policy.Way{
		Label: label, Issuer: shown.Issuer, Subject: shown.Subject, Hash: policy.HashAccount(shown.Issuer, shown.Subject),
	}, now)
	return err
}
