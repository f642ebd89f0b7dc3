package app

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
)

// Door is where people come in with a browser: by a token, by a passkey, by an
// account elsewhere, or, for the first administrator, by the one-time code. It opens sessions,
// and asks nobody what they may do. Its methods are safe for concurrent use.
type Door struct {
	directory Directory
	asked     *ceremonies
	passkeys  *webauthn.WebAuthn // nil where the house has no public address
	issuers   []*issuer
}

// newDoor is the door of a house that browsers reach at address, which is "" if they
// need to come by token, and that takes accounts of the issuers in a file; "" is none.
func newDoor(d Directory, address, issuers string) (*Door, error) {
	asked, err := newCeremonies()
	if err != nil {
		return nil, err
	}
	door := &Door{directory: d, asked: asked}
	if door.issuers, err = readIssuers(issuers, address); err != nil {
		return nil, err
	}
	if address == "" {
		return door, nil
	}
	u, err := publicAddress(address)
	if err != nil {
		return nil, err
	}
	required := true
	door.passkeys, err = webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Proofhouse", RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: &required, ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "passkeys are bound to the name of a machine, and that public address has none that they take")
	}
	return door, nil
}

// publicAddress is the address at which browsers reach the house. Browsers have
// passkeys over TLS only, and for a name, not for a number; on one machine that is http://localhost.
func publicAddress(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the public address is like https://house.example, without a path")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost") || net.ParseIP(u.Hostname()) != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the public address is https and a name, or http://localhost: browsers have no passkeys elsewhere")
	}
	return u, nil
}

// Token opens a session for whose token it is; another one is proofhouse.NotFound.
func (d *Door) Token(ctx context.Context, token string, now time.Time) (session string, err error) {
	return d.directory.SessionFor(ctx, token, now)
}

// First spends the one-time code, as Directory.Redeem does, and opens a session for the administrator whom it
// made. The token is given as well.
func (d *Door) First(ctx context.Context, code string, o policy.Organisation, p policy.Person, now time.Time) (session, token string, err error) {
	if token, err = d.directory.Redeem(ctx, code, o, p, now); err != nil {
		return "", "", err
	}
	session, err = d.directory.SessionFor(ctx, token, now)
	return session, token, err
}

// Leave ends a session.
func (d *Door) Leave(ctx context.Context, session string, now time.Time) error {
	return d.directory.EndSession(ctx, session, now)
}

// Passkeys says whether there can be any: the house has a public address.
func (d *Door) Passkeys() bool { return d.passkeys != nil }

// holder is somebody with passkeys, as WebAuthn sees them.
type holder struct {
	handle      []byte
	person      policy.Person
	credentials []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return h.handle }
func (h holder) WebAuthnName() string                       { return h.person.Name() }
func (h holder) WebAuthnDisplayName() string                { return h.person.Title }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }

// holder is a person with the passkeys that it has.
func (d *Door) holder(ctx context.Context, p policy.Person) (holder, error) {
	handle, err := d.directory.People.Handle(p.Name())
	if err != nil {
		return holder{}, err
	}
	ways, err := d.directory.People.Ways(ctx, p.Name())
	if err != nil {
		return holder{}, err
	}
	h := holder{handle: handle, person: p}
	for _, w := range ways {
		if len(w.Passkey) == 0 {
			continue
		}
		c, err := credential(w)
		if err != nil {
			return holder{}, err
		}
		h.credentials = append(h.credentials, c)
	}
	return h, nil
}

// credential is a way's passkey.
func credential(w policy.Way) (c webauthn.Credential, err error) {
	if err := json.Unmarshal(w.Passkey, &c); err != nil {
		return c, proofhouse.Errorf(proofhouse.Integrity, err, "a passkey's row is damaged")
	}
	return c, nil
}

var errNoPasskeys = proofhouse.Errorf(proofhouse.Refused, nil, "passkeys need the house's public address: whoever runs it gives it with `serve --url`")

// The kinds of ceremonies.
const (
	addingPasskey  = "add a passkey"
	signingPasskey = "sign in with a passkey"
)

// OfferPasskey is what the browser of who is signed in is asked, to make a
// passkey: options for the browser, and the ceremony to give back.
func (d *Door) OfferPasskey(ctx context.Context, who policy.Person, now time.Time) (options, ceremony string, err error) {
	if d.passkeys == nil {
		return "", "", errNoPasskeys
	}
	h, err := d.holder(ctx, who)
	if err != nil {
		return "", "", err
	}
	creation, asked, err := d.passkeys.BeginRegistration(h,
		webauthn.WithExclusions(webauthn.Credentials(h.credentials).CredentialDescriptors()),
		webauthn.WithCredentialParameters([]protocol.CredentialParameter{
			{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
			{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
			{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
		}))
	if err != nil {
		return "", "", err
	}
	return d.begin(addingPasskey, creation.Response, asked, now)
}

func (d *Door) begin(kind string, options, asked any, now time.Time) (string, string, error) {
	b, err := json.Marshal(options)
	if err != nil {
		return "", "", err
	}
	ceremony, err := d.asked.begin(kind, asked, now)
	return string(b), ceremony, err
}

// AddPasskey adds the passkey that a browser made for who is signed in.
func (d *Door) AddPasskey(ctx context.Context, who policy.Person, ceremony, answer, label string, now time.Time) error {
	if d.passkeys == nil {
		return errNoPasskeys
	}
	var asked webauthn.SessionData
	ends, err := d.asked.open(addingPasskey, ceremony, &asked, now)
	if err != nil {
		return err
	}
	h, err := d.holder(ctx, who)
	if err != nil {
		return err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return errPasskey(err)
	}
	c, err := d.passkeys.CreateCredential(h, asked, parsed)
	if err != nil {
		return errPasskey(err)
	}
	c.Attestation = webauthn.CredentialAttestation{} // nobody was asked who made the authenticator
	kept, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := d.asked.spend(asked.Challenge, ends, now); err != nil {
		return err
	}
	_, err = d.directory.addWay(ctx, policy.Principal{Person: who}, who.Name(), policy.Way{Label: label, Hash: policy.HashPasskey(c.ID), Passkey: kept}, now)
	return err
}

// errPasskey tells an outsider nothing of what is wrong.
func errPasskey(err error) error {
	return proofhouse.Errorf(proofhouse.Refused, err, "this passkey was not taken: try again, or come in another way")
}

// AskPasskey is what the browser of somebody who wants to come in is asked.
func (d *Door) AskPasskey(now time.Time) (options, ceremony string, err error) {
	if d.passkeys == nil {
		return "", "", errNoPasskeys
	}
	assertion, asked, err := d.passkeys.BeginDiscoverableLogin()
	if err != nil {
		return "", "", err
	}
	return d.begin(signingPasskey, assertion.Response, asked, now)
}

// Passkey opens a session for whose passkey answered. Every other answer is
// proofhouse.Refused with one sentence, but for one sign of a copy: a counter that went back.
// Then nobody comes in with that passkey any more, the copy nor the owner.
func (d *Door) Passkey(ctx context.Context, ceremony, answer string, now time.Time) (session string, err error) {
	if d.passkeys == nil {
		return "", errNoPasskeys
	}
	var asked webauthn.SessionData
	ends, err := d.asked.open(signingPasskey, ceremony, &asked, now)
	if err != nil {
		return "", err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return "", errPasskey(err)
	}
	var way policy.Way
	if _, err := d.passkeys.ValidateDiscoverableLogin(func(id, _ []byte) (webauthn.User, error) {
		var err error
		if way, err = d.directory.People.WayByHash(ctx, policy.HashPasskey(id)); err != nil {
			return nil, err
		}
		c, err := credential(way)
		if err != nil {
			return nil, err
		}
		handle, err := d.directory.People.Handle(way.Owner) // which is held to the one that was sent
		return holder{handle: handle, credentials: []webauthn.Credential{c}}, err
	}, asked, parsed); err != nil {
		return "", errPasskey(err)
	}
	if err := d.asked.spend(asked.Challenge, ends, now); err != nil {
		return "", err
	}
	// As it is kept by now, since two may come at once.
	suspect := false
	err = d.directory.People.Change(ctx, func(tx store.PeopleTx) error {
		suspect, session = false, ""
		if way, err = tx.ChangeWay(ctx, way.ID, func(w *policy.Way) error { return counted(w, parsed, now) }); err != nil {
			return err
		}
		if suspect = !way.Suspect.IsZero(); suspect {
			if way.Suspect.Before(now.Truncate(time.Microsecond)) { // it is recorded already
				return nil
			}
			return record(ctx, tx, nil, "suspect a copy of a passkey", way.Shown(), now)
		}
		session, err = d.directory.openSession(ctx, tx, way.Owner, way.ID, now.Add(policy.SessionLife), now)
		return err
	})
	switch {
	case err != nil && proofhouse.KindOf(err) == proofhouse.NotFound: // it was removed meanwhile
		return "", errPasskey(err)
	case err != nil:
		return "", err
	case suspect:
		return "", proofhouse.Errorf(proofhouse.Refused, nil, "the counter of this passkey went back, so there may be a copy of it: nobody comes in with it any more. Come in another way, remove it and add another")
	}
	return session, nil
}

// counted holds a passkey's counter to the last, and notes the use. One that is or was suspect stays so.
func counted(w *policy.Way, parsed *protocol.ParsedCredentialAssertionData, now time.Time) error {
	c, err := credential(*w)
	if err != nil {
		return err
	}
	if !bytes.Equal(c.ID, parsed.RawID) {
		return proofhouse.Errorf(proofhouse.Internal, nil, "a passkey was taken for another")
	}
	c.Authenticator.UpdateCounter(parsed.Response.AuthenticatorData.Counter)
	switch {
	case !w.Suspect.IsZero():
	case c.Authenticator.CloneWarning:
		w.Suspect = now.UTC().Truncate(time.Microsecond)
	default:
		*w = usedAt(*w, now)
	}
	c.Flags.BackupState = parsed.Response.AuthenticatorData.Flags.HasBackupState()
	w.Passkey, err = json.Marshal(c)
	return err
}
