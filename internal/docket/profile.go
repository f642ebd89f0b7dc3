package docket

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a verifier elsewhere must compute the same days

	"github.com/pelletier/go-toml/v2"

	"proofhouse/internal/proofhouse"
)

//go:embed profile/*.toml
var shipped embed.FS

// Profile is how one review body works: its words, its roles, its window, whom
// it consults, and by when it means to answer. It has no say over what a
// developer may do; no field of it could take that away. It never changes once
// it is read, and cases share it.
type Profile struct {
	Name  string
	Title string
	// Digest is that of the file, which a case names as its rules, and Text the file.
	Digest proofhouse.Digest
	Text   []byte
	Words  Words
	// Body is the reviewing organisation.
	Body proofhouse.OrganisationID
	// Titles are what roles are called; every role has one.
	Titles map[proofhouse.Role]string
	// Consultees are whom the authority asks before it signs.
	Consultees []ConsulteeRule
	Calendar   Calendar
	// Window is how long access lasts at most from the first grant.
	Window Days
	Clocks Clocks
	// Partners says whose the criteria for partners are.
	Partners PartnerRule
}

// Words are what the profile calls things.
type Words struct {
	Body           string `toml:"body"`            // "the Center"
	Case           string `toml:"case"`            // "review"
	Covered        string `toml:"covered"`         // "covered frontier model"
	NotCovered     string `toml:"not_covered"`     // "not a covered frontier model"
	Undetermined   string `toml:"undetermined"`    // "undetermined"
	TrustedPartner string `toml:"trusted_partner"` // "trusted partner"
}

// ConsulteeRule is an organisation to be consulted.
type ConsulteeRule struct {
	Organisation proofhouse.OrganisationID `toml:"organisation"`
	Title        string                    `toml:"title"`
	// Required says that the authority cannot sign before it has answered, or
	// been waived with a reason.
	Required bool `toml:"required"`
}

// Clocks are by when the body means to act. Nothing follows from a late one
// but that everyone in the case sees it.
type Clocks struct {
	Acceptance      Days // from the opening
	Consultation    Days // from the question
	Determination   Days // from the developer's asking
	Reconsideration Days // from the developer's request
	PartnerAnswer   Days // from the nomination
	PartnerAppeal   Days // from the appeal
}

// longestWindow bounds every profile's window: the house promises developers
// that access ends by itself on day 30.
const longestWindow = CalendarDays(30)

// profileFile is the TOML of a profile.
type profileFile struct {
	Name       string            `toml:"profile"`
	Title      string            `toml:"title"`
	Body       string            `toml:"body"`
	Words      Words             `toml:"words"`
	Roles      map[string]string `toml:"roles"`
	Consultees []ConsulteeRule   `toml:"consultee"`
	Calendar   struct {
		Zone     string           `toml:"zone"`
		Holidays []toml.LocalDate `toml:"holidays"`
	} `toml:"calendar"`
	Window string `toml:"window"`
	Clocks struct {
		Acceptance      string `toml:"acceptance"`
		Consultation    string `toml:"consultation"`
		Determination   string `toml:"determination"`
		Reconsideration string `toml:"reconsideration"`
		PartnerAnswer   string `toml:"partner_answer"`
		PartnerAppeal   string `toml:"partner_appeal"`
	} `toml:"clocks"`
	Partners struct {
		Criteria PartnerRule `toml:"criteria"`
	} `toml:"partners"`
}

// maxProfile bounds a profile's file, in bytes.
const maxProfile = 64 << 10

// ParseProfile reads a profile: every key known, every word and clock there.
// The error is proofhouse.Invalid and says where.
func ParseProfile(text []byte) (*Profile, error) {
	if len(text) > maxProfile {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "a profile has at most %d bytes", maxProfile)
	}
	var f profileFile
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&f); err != nil {
		if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
			line, _ := strict.Errors[0].Position()
			return nil, proofhouse.Errorf(proofhouse.Invalid, err, "line %d of the profile: there is no key %s", line, strings.Join(strict.Errors[0].Key(), "."))
		}
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ := at.Position()
			return nil, proofhouse.Errorf(proofhouse.Invalid, err, "line %d of the profile: %s", line, strings.TrimPrefix(at.Error(), "toml: "))
		}
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the profile is not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
	}
	p := &Profile{
		Name: f.Name, Title: f.Title, Digest: proofhouse.DigestOf(text), Text: slices.Clone(text), Words: f.Words, Body: proofhouse.OrganisationID(f.Body),
		Titles: map[proofhouse.Role]string{}, Consultees: f.Consultees,
	}
	for _, said := range []struct{ key, value string }{
		{"profile", f.Name},
		{"title", f.Title},
		{"body", f.Body},
		{"words.body", f.Words.Body},
		{"words.case", f.Words.Case},
		{"words.covered", f.Words.Covered},
		{"words.not_covered", f.Words.NotCovered},
		{"words.undetermined", f.Words.Undetermined},
		{"words.trusted_partner", f.Words.TrustedPartner},
	} {
		if err := plain(said.key, said.value); err != nil {
			return nil, err
		}
	}
	if err := p.roles(f.Roles); err != nil {
		return nil, err
	}
	if err := p.calendar(f.Calendar.Zone, f.Calendar.Holidays); err != nil {
		return nil, err
	}
	for _, d := range []struct {
		key, text string
		days      *Days
	}{
		{"window", f.Window, &p.Window},
		{"clocks.acceptance", f.Clocks.Acceptance, &p.Clocks.Acceptance},
		{"clocks.consultation", f.Clocks.Consultation, &p.Clocks.Consultation},
		{"clocks.determination", f.Clocks.Determination, &p.Clocks.Determination},
		{"clocks.reconsideration", f.Clocks.Reconsideration, &p.Clocks.Reconsideration},
		{"clocks.partner_answer", f.Clocks.PartnerAnswer, &p.Clocks.PartnerAnswer},
		{"clocks.partner_appeal", f.Clocks.PartnerAppeal, &p.Clocks.PartnerAppeal},
	} {
		var err error
		if *d.days, err = ParseDays(d.text); err != nil {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%s of the profile: %s", d.key, proofhouse.PublicOf(err))
		}
	}
	if p.Window.count() > int(longestWindow) {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the profile's window is %s: the house lends no model for more than %s", p.Window, longestWindow)
	}
	// Profiles from before there was a choice have none.
	if p.Partners = cmp.Or(f.Partners.Criteria, BodyPartners); p.Partners != JointPartners && p.Partners != BodyPartners {
		return nil, proofhouse.Errorf(proofhouse.Invalid, nil, `partners.criteria of the profile must be "joint" or "body"`)
	}
	seen := map[proofhouse.OrganisationID]bool{p.Body: true}
	for _, c := range p.Consultees {
		if err := plain("consultee.organisation", string(c.Organisation)); err != nil {
			return nil, err
		}
		if err := plain("consultee.title", c.Title); err != nil {
			return nil, err
		}
		if seen[c.Organisation] {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "the profile names the organisation %s twice: body and consultees are different ones", c.Organisation)
		}
		seen[c.Organisation] = true
	}
	return p, nil
}

func (p *Profile) roles(titles map[string]string) error {
	for role, title := range titles {
		r := proofhouse.Role(strings.ReplaceAll(role, "_", " "))
		if err := r.Validate(); err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "roles of the profile: %s", proofhouse.PublicOf(err))
		}
		if err := plain("roles."+role, title); err != nil {
			return err
		}
		p.Titles[r] = title
	}
	// Profiles may be older than this role, and a case keeps its profile.
	if p.Titles[proofhouse.Adopter] == "" {
		p.Titles[proofhouse.Adopter] = "adopting department"
	}
	for _, r := range proofhouse.Roles {
		if p.Titles[r] == "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "the profile does not say what the role %q is called: add %s to [roles]", r, strings.ReplaceAll(string(r), " ", "_"))
		}
	}
	return nil
}

func (p *Profile) calendar(zone string, holidays []toml.LocalDate) error {
	// "Local" would be this machine's zone, and "" UTC without saying so.
	if zone == "" || zone == "Local" {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "calendar.zone of the profile must name a zone, such as America/New_York or UTC")
	}
	var err error
	if p.Calendar.Zone, err = time.LoadLocation(zone); err != nil {
		return proofhouse.Errorf(proofhouse.Invalid, err, "calendar.zone of the profile: there is no time zone %q", zone)
	}
	p.Calendar.Holidays = map[Date]bool{}
	for _, h := range holidays {
		p.Calendar.Holidays[Date{h.Year, time.Month(h.Month), h.Day}] = true
	}
	return nil
}

// Profiles are the names of the profiles that ship.
func Profiles() []string {
	files, err := fs.Glob(shipped, "profile/*.toml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(f, "profile/"), ".toml")
	}
	return names
}

// ShippedProfile is the profile that ships under name; the error is
// proofhouse.NotFound.
func ShippedProfile(name string) (*Profile, error) {
	text, err := shipped.ReadFile("profile/" + name + ".toml")
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.NotFound, err, "there is no profile %q: choose one of %s", name, strings.Join(Profiles(), ", "))
	}
	return ParseProfile(text)
}

// Consultee is the rule for organisation, if it is to be consulted.
func (p *Profile) Consultee(o proofhouse.OrganisationID) (ConsulteeRule, bool) {
	for _, c := range p.Consultees {
		if c.Organisation == o {
			return c, true
		}
	}
	return ConsulteeRule{}, false
}
