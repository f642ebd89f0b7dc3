package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// acts adds an endpoint for each act of a case but its opening, and one for
// the text of each that somebody signs.
func (s server) acts() {
	act[docket.Accept](s)
	act[docket.Join](s)
	act[docket.Leave](s)
	act[docket.NameKey](s)
	act[docket.Offer](s)
	act[docket.Agree](s)
	act[docket.Ask](s)
	act[docket.Plan](s)
	act[docket.Lend](s)
	act[docket.End](s)
	act[docket.PauseAccess](s)
	act[docket.ResumeAccess](s)
	act[docket.MoveWindow](s)
	act[docket.Withdraw](s)
	act[docket.Announce](s)
	act[docket.Share](s)
	act[docket.Unshare](s)
	act[docket.Register](s)
	act[docket.Countersign](s)
	act[docket.StartRun](s)
	act[docket.FinishRun](s)
	act[docket.Attach](s)
	act[docket.Cite](s)
	act[docket.Consult](s)
	act[docket.Answer](s)
	act[docket.Waive](s)
	act[docket.Determine](s)
	act[docket.Reconsider](s)
	act[docket.Appoint](s)
	act[docket.Adopt](s)
	act[docket.FileReport](s)
	act[docket.PublishReport](s)
	act[docket.Publish](s)
	act[docket.AgreePartners](s)
	act[docket.Nominate](s)
	act[docket.NominateList](s)
	s.nominations()
	act[docket.Sponsor](s)
	act[docket.Decline](s)
	act[docket.Appeal](s)
	act[docket.OfferPartners](s)
	act[docket.AcceptTerms](s)
	act[docket.MakePart](s)
	act[docket.PlaceHold](s)
	act[docket.LiftHold](s)
}

// actIn is an act on its way in.
type actIn[A docket.Act] struct {
	Credential
	Repeat
	Case  proofhouse.CaseID `path:"case" maxLength:"100"`
	As    proofhouse.Role   `query:"as" doc:"your role, where you have several that may"`
	Match string            `header:"If-Match" maxLength:"40" doc:"the ETag of the case as you saw it; if it has gone on since, nothing is done"`
	Body  A
}

// textIn is an act whose text is asked for.
type textIn[A docket.Act] struct {
	Credential
	Case proofhouse.CaseID `path:"case" maxLength:"100"`
	As   proofhouse.Role   `query:"as" doc:"your role, where you have several that may"`
	Body A
}

type doneOut struct {
	ETag string `header:"ETag"`
	Body wire.Done
}

type textOut struct{ Body wire.Text }

func act[A docket.Act](s server) {
	var a A
	kind := a.Kind()
	name := kind.Name()
	roles := make([]string, len(kind.Move().By))
	for i, r := range kind.Move().By {
		roles[i] = string(r)
	}
	first := strings.ToUpper(string(kind[0]))
	op := operation{
		method: http.MethodPost, path: "/v1/cases/{case}/acts/" + name, id: "acts-" + name, summary: first + string(kind[1:]),
		description: "For: " + strings.Join(roles, ", ") + ".",
	}
	add(s, op, func(ctx context.Context, who policy.Person, in actIn[A]) (*doneOut, error) {
		c, e, err := s.event(ctx, who, in.Case, in.As, in.Body)
		if err != nil {
			return nil, err
		}
		at, err := version(in.Match)
		if err != nil {
			return nil, err
		}
		if err := s.theirs(ctx, who, c, e); err != nil {
			return nil, err
		}
		now := s.Now()
		c, seq, err := s.Registry.Do(ctx, in.Case, e, at, in.request(who, in.Case, name, e.By.Role, said(in.Body)), now)
		if err != nil {
			if at != 0 && at != c.Version && proofhouse.KindOf(err) == proofhouse.Conflict {
				err = huma.Error412PreconditionFailed(proofhouse.PublicOf(err))
			}
			return nil, err
		}
		s.Wake()
		if slices.Contains(ending, kind) {
			s.Gate.Ended(ctx, c)
		}
		shown := s.show(c, who, now)
		return &doneOut{ETag: shown.ETag, Body: wire.Done{Seq: seq, Version: c.Version, Case: shown.Body}}, nil
	})
	if !docket.Signs(a) {
		return
	}
	op.path, op.id, op.summary = "/v1/cases/{case}/texts/"+name, "texts-"+name, "What is signed to "+string(kind)
	add(s, op, func(ctx context.Context, who policy.Person, in textIn[A]) (*textOut, error) {
		c, e, err := s.event(ctx, who, in.Case, in.As, in.Body)
		if err != nil {
			return nil, err
		}
		text, _ := c.ToSign(e)
		out := wire.Text{Text: string(text), Digest: proofhouse.DigestOf(text), By: e.By}
		if key, named := c.SigningKey(e.By); named {
			out.Key = &key
			if key.IsPasskey() {
				out.Challenge = docket.Challenge(out.Digest)
			}
		}
		return &textOut{out}, nil
	})
}

// Passkeys knows the passkeys of people.
type Passkeys interface {
	// Theirs is nil if the key is a passkey of that person, in this house and at this moment. Else the error is proofhouse.Refused.
	Theirs(ctx context.Context, who policy.Person, key docket.SigningKey) error
}

// theirs holds whoever names a passkey, or signs with the one that they named, to having it: one that was
// removed, or may have a copy, signs nothing more. What it has signed stays, and the docket checks it by itself.
func (s server) theirs(ctx context.Context, who policy.Person, c docket.Case, e docket.Event) error {
	var key docket.SigningKey
	if a, names := e.Act.(docket.NameKey); names {
		key = docket.SigningKey{By: e.By, Key: a.Key, Passkey: a.Passkey}
	} else if docket.Signs(e.Act) {
		key, _ = c.SigningKey(e.By)
	}
	switch {
	case !key.IsPasskey():
		return nil
	case s.Passkeys == nil:
		return proofhouse.Errorf(proofhouse.Refused, nil, "this house has no passkeys")
	}
	return s.Passkeys.Theirs(ctx, who, key)
}

// ending are the acts after which grants can open less.
var ending = []docket.Kind{docket.KindEnd, docket.KindUnshare, docket.KindPause, docket.KindWithdraw, docket.KindDecline}

// said is what an act says, by which a request that is sent again is known. The
// salt of a report says nothing: its sender draws it anew each time, and the first stands.
func said(a docket.Act) docket.Act {
	if r, ok := a.(docket.FileReport); ok {
		r.Salt = docket.Salt{}
		return r
	}
	return a
}

// event is the act by who, in the first of its roles that may do it, or the one
// that it named.
func (s server) event(ctx context.Context, who policy.Person, id proofhouse.CaseID, as proofhouse.Role, a docket.Act) (docket.Case, docket.Event, error) {
	c, err := s.find(ctx, who, id, policy.View)
	if err != nil {
		return c, docket.Event{}, err
	}
	by := proofhouse.Actor{Organisation: who.Organisation, Person: who.ID, Role: as}
	if as == "" {
		may := a.Kind().Move().By
		has := c.Reader(docket.Person{Organisation: who.Organisation, Person: who.ID}).Roles
		fits := slices.IndexFunc(has, func(r proofhouse.Role) bool { return slices.Contains(may, r) })
		switch {
		case fits >= 0:
			by.Role = has[fits]
		case len(has) > 0 && (a.Kind() != docket.KindAccept || !slices.Contains(who.House, policy.HouseRegistrar)):
			by.Role = has[0] // to be told who may
		default:
			by.Role = may[0] // whoever takes up a case is no member of it yet
		}
	}
	return c, docket.Event{By: by, Act: a}, s.Guard.Check(policy.Principal{Person: who, Role: as}, policy.Act(string(a.Kind())), c.Facts())
}

// version is the version that an If-Match header names, 0 for none.
func version(match string) (int, error) {
	if match == "" || match == "*" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.Trim(strings.TrimPrefix(match, "W/"), `"`))
	if err != nil || n < 1 {
		return 0, huma.Error412PreconditionFailed("If-Match is not the ETag of a case")
	}
	return n, nil
}
