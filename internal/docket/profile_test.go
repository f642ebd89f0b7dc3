package docket

import (
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

func profile(t testing.TB, name string) *Profile {
	t.Helper()
	p, err := ShippedProfile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestShippedProfiles(t *testing.T) {
	names := Profiles()
	if len(names) != 3 {
		t.Fatalf("there are the profiles %v, want three", names)
	}
	for _, n := range names {
		if p := profile(t, n); p.Name != n {
			t.Errorf("the file %s calls itself %s", n, p.Name)
		}
	}
	for name, want := range map[string]PartnerRule{"us-order": JointPartners, "institute": JointPartners, "board": BodyPartners} {
		if p := profile(t, name); p.Partners != want {
			t.Errorf("the criteria for partners under %s are %s", name, p.Partners)
		}
	}
	// One from before profiles said so is read as it was meant.
	text := profile(t, "board").Text
	if p, err := ParseProfile(text[:strings.Index(string(text), "\n# The board answers")]); err != nil || p.Partners != BodyPartners {
		t.Errorf("a profile that does not say whose the criteria for partners are: %v", err)
	}
	if _, err := ShippedProfile("../case"); proofhouse.KindOf(err) != proofhouse.NotFound {
		t.Errorf("a profile of elsewhere: %v", err)
	}
}

// TestProfileRefused changes one line of a good profile at a time.
func TestProfileRefused(t *testing.T) {
	good, err := shipped.ReadFile("profile/us-order.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"an unknown key", `body = "nsa"`, "body = \"nsa\"\nlicence = true", "no key licence"},
		{"no body", `body = "nsa"`, ``, "body is missing"},
		{"no window", `window = "30 calendar days"`, ``, "window of the profile"},
		{"a longer window", `"30 calendar days"`, `"31 calendar days"`, "for more than 30 calendar days"},
		{"untyped days", `"30 calendar days"`, `"30 days"`, "which days"},
		{"a window in numbers", `window = "30 calendar days"`, `window = 30`, "line"},
		{"an unknown role", `auditor = "auditor"`, "auditor = \"auditor\"\njudge = \"judge\"", `"judge" is not a role`},
		{"a role without title", `auditor = "auditor"`, ``, `what the role "auditor" is called`},
		{"the body consulted", `organisation = "cisa"`, `organisation = "nsa"`, "twice"},
		{"a consultee twice", `organisation = "cisa"`, `organisation = "nist"`, "twice"},
		{"an unknown zone", `America/New_York`, `America/Gotham`, "no time zone"},
		{"this machine's zone", `America/New_York`, `Local`, "must name a zone"},
		{"a day that is not", `2026-07-03`, `2026-02-30`, "line"},
		{"a hidden character", `"trusted partner"`, "\"trusted\u202epartner\"", "cannot be seen"},
		{"a missing clock", `partner_appeal = "5 business days"`, ``, "clocks.partner_appeal"},
		{"another's criteria", `criteria = "joint"`, `criteria = "the developer"`, "partners.criteria"},
		{"no TOML", `[words]`, `[words`, "line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(string(good), c.old, c.new, 1)
			if text == string(good) {
				t.Fatal("the change changes nothing")
			}
			_, err := ParseProfile([]byte(text))
			if proofhouse.KindOf(err) != proofhouse.Invalid || !strings.Contains(proofhouse.PublicOf(err), c.want) {
				t.Errorf("got %v, want Invalid with %q", err, c.want)
			}
		})
	}
}

func FuzzParseProfile(f *testing.F) {
	for _, n := range Profiles() {
		text, err := shipped.ReadFile("profile/" + n + ".toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProfile(text)
		if err != nil {
			if proofhouse.KindOf(err) != proofhouse.Invalid {
				t.Fatalf("not Invalid: %v", err)
			}
			return
		}
		if p.Window.count() > 30 || p.Body == "" || len(p.Titles) != len(proofhouse.Roles) || p.Clocks.PartnerAppeal == nil {
			t.Fatalf("an incomplete profile was taken: %+v", p)
		}
	})
}
