package web

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/web/page"
)

// form is what somebody filled in.
type form struct{ url.Values }

// form is the one that was sent.
func (v visit) form() (form, error) {
	if err := v.r.ParseForm(); err != nil {
		return form{}, proofhouse.Errorf(proofhouse.Invalid, err, "the form did not arrive whole")
	}
	return form{v.r.PostForm}, nil
}

// parts is the form that was sent, with its files as fields.
func (v visit) parts() (form, error) {
	if !strings.HasPrefix(v.r.Header.Get("Content-Type"), "multipart/") {
		return v.form()
	}
	f := form{url.Values{}}
	return f, eachPart(v.r, func(name string, b []byte) { f.Set(name, string(b)) })
}

// eachPart gives each part of a form, whole and in memory: what lay on a disk would lie there in the open.
func eachPart(r *http.Request, do func(name string, b []byte)) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return proofhouse.Errorf(proofhouse.Invalid, err, "the form did not arrive whole")
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var b []byte
		if err == nil {
			b, err = io.ReadAll(part)
		}
		if large, is := errors.AsType[*http.MaxBytesError](err); is {
			return proofhouse.Errorf(proofhouse.Limit, err, "what is sent here is at most %d MiB, with its files", large.Limit>>20)
		}
		if err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "the form did not arrive whole")
		}
		do(part.FormName(), b)
	}
}

// once is a key by which a form that is sent twice is one request; mended and sent again it is another.
func (f form) once(says string) string {
	return f.text("once") + "/" + proofhouse.DigestOf([]byte(says)).Short()
}

func (f form) text(name string) string { return strings.TrimSpace(f.Get(name)) }

// line is a text that was typed in several lines, as one.
func (f form) line(name string) string { return strings.Join(strings.Fields(f.Get(name)), " ") }

func (f form) organisation(name string) proofhouse.OrganisationID {
	return proofhouse.OrganisationID(f.text(name))
}

func (f form) number(name string) int {
	n, _ := strconv.Atoi(f.text(name)) // what is none is 0, which no version has
	return n
}

func (f form) day(name string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, f.text(name))
	if err != nil {
		return t, proofhouse.Errorf(proofhouse.Invalid, err, "a date is like 2026-12-31")
	}
	return t, nil
}

// member is a person in a role.
func (f form) member() docket.Member {
	person, organisation, _ := strings.Cut(f.text("person"), "@")
	return docket.Member{Person: proofhouse.PersonID(person), Organisation: proofhouse.OrganisationID(organisation), Role: proofhouse.Role(f.text("role"))}
}

// deeds are the acts that pages have a form for, by the name that the API has for them.
var deeds = map[string]func(form) (docket.Act, error){
	"accept":         func(form) (docket.Act, error) { return docket.Accept{}, nil },
	"ask":            func(form) (docket.Act, error) { return docket.Ask{}, nil },
	"withdraw":       func(form) (docket.Act, error) { return docket.Withdraw{}, nil },
	"pause":          func(form) (docket.Act, error) { return docket.PauseAccess{}, nil },
	"resume":         func(form) (docket.Act, error) { return docket.ResumeAccess{}, nil },
	"agree":          func(f form) (docket.Act, error) { return docket.Agree{Version: f.number("version")}, nil },
	"agree-partners": func(f form) (docket.Act, error) { return docket.AgreePartners{Version: f.number("version")}, nil },
	"publish-report": func(f form) (docket.Act, error) { return docket.PublishReport{Version: f.number("version")}, nil },
	"countersign":    func(f form) (docket.Act, error) { return docket.Countersign{Version: f.number("version")}, nil },
	"consult": func(f form) (docket.Act, error) {
		return docket.Consult{Organisation: f.organisation("organisation")}, nil
	},
	"appoint":    func(f form) (docket.Act, error) { return docket.Appoint{Tester: f.organisation("organisation")}, nil },
	"reconsider": func(f form) (docket.Act, error) { return docket.Reconsider{Reason: f.line("reason")}, nil },
	"offer-partners": func(f form) (docket.Act, error) {
		return docket.OfferPartners{Text: strings.TrimSpace(unix(f.Get("text")))}, nil
	},
	"accept-terms": func(f form) (docket.Act, error) {
		if f.Get("agreed") != "yes" {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "to accept the terms, tick the box that says so")
		}
		return docket.AcceptTerms{Version: f.number("version"), Digest: proofhouse.Digest(f.text("digest"))}, nil
	},
	"name-key": func(f form) (docket.Act, error) {
		return docket.NameKey{Key: strings.ReplaceAll(f.Get("key"), "\r\n", "\n")}, nil
	},
	"join":    func(f form) (docket.Act, error) { return docket.Join{Member: f.member()}, nil },
	"leave":   func(f form) (docket.Act, error) { return docket.Leave{Member: f.member()}, nil },
	"end":     func(f form) (docket.Act, error) { return docket.End{Grant: docket.GrantID(f.text("grant"))}, nil },
	"unshare": func(f form) (docket.Act, error) { return docket.Unshare{Grant: docket.GrantID(f.text("grant"))}, nil },
	"lend": func(f form) (docket.Act, error) {
		return docket.Lend{Grant: docket.GrantID(f.text("grant")), To: f.organisation("organisation")}, nil
	},
	"share": func(f form) (docket.Act, error) {
		return docket.Share{Grant: docket.GrantID(f.text("grant")), To: f.organisation("organisation")}, nil
	},
	"announce": func(f form) (docket.Act, error) {
		day, err := f.day("date")
		return docket.Announce{Date: day, Note: f.line("note")}, err
	},
	"offer": func(f form) (docket.Act, error) {
		t := docket.Terms{Marking: proofhouse.Marking(f.text("marking")), Retention: f.number("retention"), Export: f.Get("export") == "yes", Share: []proofhouse.Role{}}
		if f.Get("share") == "yes" {
			t.Share = append(t.Share, proofhouse.Adopter)
		}
		return docket.Offer{Terms: t}, nil
	},
	"answer": func(f form) (docket.Act, error) {
		return docket.Answer{View: docket.View(f.text("view")), Reason: f.line("reason")}, nil
	},
	"waive": func(f form) (docket.Act, error) {
		return docket.Waive{Organisation: f.organisation("organisation"), Reason: f.line("reason")}, nil
	},
	"determine": func(f form) (docket.Act, error) {
		return docket.Determine{Outcome: docket.Outcome(f.text("outcome")), Registration: f.number("version"), Departure: f.line("departure"), Report: f.number("report")}, nil
	},
	"nominate": func(f form) (docket.Act, error) {
		return docket.Nominate{Organisation: f.organisation("organisation"), Title: f.line("title")}, nil
	},
	"sponsor": func(f form) (docket.Act, error) {
		return docket.Sponsor{Organisation: f.organisation("organisation"), Criterion: f.text("criterion"), Reason: f.line("reason")}, nil
	},
	"hold": func(f form) (docket.Act, error) {
		a := docket.PlaceHold{ID: f.text("name"), Reason: f.line("reason")}
		for _, id := range f.Values["artifact"] {
			a.Artifacts = append(a.Artifacts, proofhouse.Digest(id))
		}
		return a, nil
	},
	"lift": func(f form) (docket.Act, error) {
		return docket.LiftHold{ID: f.text("name"), Reason: f.line("reason")}, nil
	},
	"decline": func(f form) (docket.Act, error) {
		return docket.Decline{Organisation: f.organisation("organisation"), Criterion: f.text("criterion"), Reason: f.line("reason")}, nil
	},
	"appeal": func(f form) (docket.Act, error) {
		return docket.Appeal{Organisation: f.organisation("organisation"), Reason: f.line("reason")}, nil
	},
}

// consequences are what follows of acts that end something: they are asked about once.
var consequences = map[string]string{
	"withdraw":       "All access of the body and its testers ends at once, open streams included. Nothing is signed afterwards, and nothing remembers it as a fault. It cannot be taken back; a new case can be opened at any time.",
	"end":            "This access to the model ends at once, calls under way included. The developer can lend the model again.",
	"unshare":        "The partner's access to the model ends at once, calls under way included. You can share with it again.",
	"lift":           "What the hold kept may be destroyed from now on, as the terms say, by a request that two others approve. Another hold can be placed until then.",
	"leave":          "This person no longer sees the case, from now on. What they did stays in the record.",
	"publish-report": "From then on anybody can read the public tier of this version, without an account. It cannot be taken back.",
	"decline":        "Access that the body sponsors for this partner ends at once. It reads the criterion and your reason, and can appeal.",
}

// pages are the pages of a case that have forms of their own, by the acts that one comes back from.
var pages = map[string]string{"hold": "/artifacts", "lift": "/artifacts", "end": "/use", "unshare": "/use"}

// acts adds what is done in cases.
func (s site) acts() {
	s.page("POST /cases/{case}/acts/{act}", func(v visit) error {
		name := v.r.PathValue("act")
		read, ok := deeds[name]
		if !ok {
			return proofhouse.Errorf(proofhouse.NotFound, nil, "no page does that")
		}
		f, err := v.form()
		if err != nil {
			return err
		}
		act, err := read(f)
		if way := f.text("passkey"); name == "name-key" && way != "" {
			act, err = v.passkey(way)
		}
		if err != nil {
			return err
		}
		what := page.Deed{Name: name, Kind: act.Kind(), Fields: fields(f)}
		if follows := consequences[name]; follows != "" && f.Get("confirm") != "yes" {
			c, err := v.client.Case(v.r.Context(), v.id())
			if err != nil {
				return err
			}
			return v.show(page.Confirm(v.frame("Once more", "docket"), c, what, follows))
		}
		if docket.Signs(act) {
			text, err := v.client.Text(v.r.Context(), v.id(), act, "")
			if err != nil {
				return err
			}
			if f.Get("save") != "" {
				return v.file("to-sign", []byte(text.Text))
			}
			signature, wrong := signatureIn(f, text)
			if wrong != "" || signature.Bytes == nil {
				return v.draft(what, text, wrong)
			}
			act = docket.WithSignature(act, signature)
		}
		did, err := v.client.Do(v.r.Context(), v.id(), act, wire.Options{})
		if err != nil {
			return err
		}
		return v.to("/cases/" + string(v.id()) + pages[name] + "?" + url.Values{"done": {name}, "seq": {strconv.Itoa(did.Seq)}}.Encode())
	})
}

// signatureIn is what somebody signed with, by a passkey or elsewhere; without Bytes where nothing was sent. wrong says what is wrong with it.
// A passkey's answer is over the text that its page showed, and a case may have gone on since: then it is refused as over something else.
func signatureIn(f form, text wire.Text) (signature docket.Signature, wrong string) {
	if answer := f.Get("answer"); answer != "" {
		s, err := docket.PasskeySignature(proofhouse.Digest(f.text("digest")), []byte(answer))
		if err != nil {
			return docket.Signature{}, "That is no answer of a passkey."
		}
		return s, ""
	}
	if f.Has("answer") {
		return docket.Signature{}, "A passkey takes a script, which this browser did not run."
	}
	if !f.Has("signature") {
		return docket.Signature{}, ""
	}
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(f.Get("signature")), ""))
	if err != nil || len(b) == 0 {
		return docket.Signature{}, "That is no signature as `proofhouse case sign` prints it."
	}
	return docket.Signature{Over: text.Digest, Bytes: b}, ""
}

// draft shows what is to be signed. wrong says why the last signature was none; "" is that there was none yet.
func (v visit) draft(what page.Deed, text wire.Text, wrong string) error {
	c, err := v.client.Case(v.r.Context(), v.id())
	if err != nil {
		return err
	}
	d := page.Drafted{Deed: what, Text: text, Wrong: wrong}
	f := v.frame("To be signed", "docket")
	if text.Key != nil && text.Key.IsPasskey() {
		options, err := v.Door.AskSignature(v.r.Context(), v.me, *text.Key, text.Challenge)
		switch {
		case err == nil:
			d.Asked, f.Passkeys = page.Asked{Options: options}, true
			v.w.Header().Set("Content-Security-Policy", passkeyPolicy)
		case proofhouse.KindOf(err) != proofhouse.Refused && proofhouse.KindOf(err) != proofhouse.Unavailable:
			return err
		}
	}
	return v.show(page.Draft(f, c, d))
}

// passkey is the act that names a passkey of who is signed in, by the way in that it is.
func (v visit) passkey(way string) (docket.Act, error) {
	all, err := v.Door.SigningPasskeys(v.r.Context(), v.me)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Way == way {
			return p.Name, nil
		}
	}
	return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "you have no such passkey")
}

// fields are what was filled in, to be sent once more.
func fields(f form) [][2]string {
	var all [][2]string
	for name, values := range f.Values {
		if slices.Contains([]string{"signature", "answer", "digest", "save", "confirm"}, name) {
			continue
		}
		for _, v := range values {
			all = append(all, [2]string{name, v})
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return all
}

// said is what a page shows after something was done: words of the house's, whatever the address says.
func said(q url.Values) string {
	if _, ok := deeds[q.Get("done")]; !ok {
		return ""
	}
	switch q.Get("done") {
	case "withdraw":
		return "The review has ended. No access of the body is left."
	case "announce":
		return "The release is announced."
	}
	if n, err := strconv.Atoi(q.Get("seq")); err == nil && n > 0 {
		return "It is done, and stands in the record as event " + strconv.Itoa(n) + "."
	}
	return ""
}
