package docket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"proofhouse/internal/proofhouse"
)

// Tier is for whom a version of the report is.
type Tier string

// The tiers.
const (
	AuthorityTier Tier = "authority"
	DeveloperTier Tier = "developer"
	PartnerTier   Tier = "partner"
	PublicTier    Tier = "public"
)

// Tiers are all of them, from the narrowest.
var Tiers = []Tier{AuthorityTier, DeveloperTier, PartnerTier, PublicTier}

// Report is the report of a case, of which each reader sees a part. The title
// is for all readers.
type Report struct {
	Title      string      `json:"title"`
	Paragraphs []Paragraph `json:"paragraphs" nullable:"false"`
}

// Paragraph is a piece of a report with who may read it. Both its tiers and
// its marking must allow a reader.
type Paragraph struct {
	Text    string             `json:"text"`
	Tiers   []Tier             `json:"tiers" nullable:"false"`
	Marking proofhouse.Marking `json:"marking"`
}

const (
	maxParagraph  = 16 << 10  // bytes
	maxParagraphs = 1000      // of a report
	maxReport     = 256 << 10 // bytes of its encoding, since an entry of the record has a bound
	maxReports    = 100       // of a case
)

// widest are the tiers that a marking allows at most. A marking that is not
// here allows none.
var widest = map[proofhouse.Marking][]Tier{
	proofhouse.Clear:       {AuthorityTier, DeveloperTier, PartnerTier, PublicTier},
	proofhouse.Green:       {AuthorityTier, DeveloperTier, PartnerTier},
	proofhouse.Amber:       {AuthorityTier, DeveloperTier, PartnerTier},
	proofhouse.AmberStrict: {AuthorityTier, DeveloperTier},
	proofhouse.Red:         {AuthorityTier, DeveloperTier}, // named readers: one of the two
}

// Validate says whether every paragraph has a text, readers, and a marking
// that allows them. The error is proofhouse.Invalid, or Limit for what is too long, and quotes nothing.
func (r Report) Validate() error {
	if err := plain("the report's title", r.Title); err != nil {
		return err
	}
	if len(r.Paragraphs) > maxParagraphs {
		return proofhouse.Errorf(proofhouse.Limit, nil, "a report has at most %d paragraphs", maxParagraphs)
	}
	for i, p := range r.Paragraphs {
		if p.Text == "" || len(p.Tiers) == 0 {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "paragraph %d has no text or no readers", i+1)
		}
		if why := p.unreadable(); why != "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "paragraph %d %s", i+1, why)
		}
		if err := p.Marking.Validate(); err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "paragraph %d has no marking of the Traffic Light Protocol", i+1)
		}
		for j, t := range p.Tiers {
			if !slices.Contains(widest[p.Marking], t) || slices.Contains(p.Tiers[:j], t) || p.Marking == proofhouse.Red && len(p.Tiers) > 1 {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "paragraph %d is marked %s, which does not allow all its readers", i+1, p.Marking)
			}
		}
	}
	return nil
}

// For is what a reader of tier t sees: nothing of the other paragraphs, not even that
// they are there. Of a report that is not valid, nobody sees anything.
func (r Report) For(t Tier) Report {
	out := Report{Paragraphs: []Paragraph{}}
	if r.Validate() != nil {
		return out
	}
	out.Title = r.Title
	for _, p := range r.Paragraphs {
		if slices.Contains(p.Tiers, t) {
			// Who else may read it is not the reader's to know.
			out.Paragraphs = append(out.Paragraphs, Paragraph{Text: p.Text, Tiers: []Tier{t}, Marking: p.Marking})
		}
	}
	return out
}

// tagged is how the line begins that says for whom a paragraph is, in a report
// as people write it. No text has such a line: shown, it would look like one.
const tagged = "[TLP:"

// unreadable says what keeps a text from being a paragraph's, or "": lines that
// people can read, none of them empty.
func (p Paragraph) unreadable() string {
	if len(p.Text) > maxParagraph {
		return fmt.Sprintf("is longer than %d bytes", maxParagraph)
	}
	for line := range strings.SplitSeq(p.Text, "\n") {
		switch {
		case strings.TrimRight(line, " ") != line || line == "":
			return "has an empty line, or spaces at the end of one"
		case !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }):
			return "has characters that cannot be seen, such as a tab"
		case strings.HasPrefix(line, tagged):
			return "has a line that looks like the one that says for whom a paragraph is"
		}
	}
	return ""
}

// TierReport is a version of a report as the readers of one tier see it, with
// what shows that it is what was filed. It tells of the other tiers nothing but
// a digest each, which is there whether or not the tier has paragraphs.
type TierReport struct {
	Version int       `json:"version"`
	At      time.Time `json:"at"` // when it was filed
	Tier    Tier      `json:"tier"`
	Report  Report    `json:"report"`
	// Commitment is to all tiers: what the authority signs if it names the report.
	Commitment proofhouse.Digest `json:"commitment"`
	Salt       Salt              `json:"salt"` // of this tier alone
	// Tiers are the digests of all tiers, in the order of Tiers.
	Tiers []proofhouse.Digest `json:"tiers" nullable:"false"`
}

// Check says whether the report is what the commitment is to. The error is
// proofhouse.Integrity if it is not.
func (t TierReport) Check() error {
	i := slices.Index(Tiers, t.Tier)
	if i < 0 || len(t.Tiers) != len(Tiers) || t.Report.digest(t.Salt, t.Tier) != t.Tiers[i] || reportCommitment(t.Tiers) != t.Commitment {
		return proofhouse.Errorf(proofhouse.Integrity, nil, "the report is not shown to be what was filed")
	}
	return nil
}

// digest hides what r says as long as nobody knows the salt.
func (r Report) digest(salt Salt, t Tier) proofhouse.Digest {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings are JSON
	}
	return proofhouse.DigestOf(slices.Concat([]byte("proofhouse report tier v1\n"+string(t)+"\n"), salt[:], b))
}

// tierSalt is made from the report's, so that showing one tier opens no other.
func (s Salt) tierSalt(t Tier) Salt {
	m := hmac.New(sha256.New, s[:])
	m.Write([]byte("proofhouse report salt v1\n" + string(t)))
	return Salt(m.Sum(nil))
}

// tiers are the digests of what each tier reads.
func (r Report) tiers(salt Salt) []proofhouse.Digest {
	all := make([]proofhouse.Digest, len(Tiers))
	for i, t := range Tiers {
		all[i] = r.For(t).digest(salt.tierSalt(t), t)
	}
	return all
}

func reportCommitment(tiers []proofhouse.Digest) proofhouse.Digest {
	var b strings.Builder
	b.WriteString("proofhouse report v1\n")
	for _, d := range tiers {
		b.WriteString(string(d) + "\n")
	}
	return proofhouse.DigestOf([]byte(b.String()))
}

// FiledReport is a version of the report. Versions are added, never changed.
type FiledReport struct {
	Version int `json:"version"`
	// Report and Salt are not shown with a case to anybody: see Case.ReportFor.
	Report     Report            `json:"-"`
	Salt       Salt              `json:"-"`
	Commitment proofhouse.Digest `json:"commitment"`
	At         time.Time         `json:"at"`
	By         proofhouse.Actor  `json:"by"`
	// Published is when the registrar made its public tier public; zero before that.
	Published time.Time `json:"published,omitzero"`
}

// FileReport files a version of the report. The salt keeps the readers of one
// tier from trying guesses at another.
type FileReport struct {
	Report Report `json:"report"`
	Salt   Salt   `json:"salt"`
}

// Kind implements Act.
func (FileReport) Kind() Kind { return KindFileReport }

func (a FileReport) apply(c *Case, by proofhouse.Actor, now time.Time) error {
	if err := a.Report.Validate(); err != nil {
		return err
	}
	if len(a.Report.Paragraphs) == 0 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the report has no paragraphs")
	}
	if a.Salt == (Salt{}) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "the report has no salt: readers of one tier could guess at another")
	}
	if b, err := json.Marshal(a.Report); err != nil || len(b) > maxReport {
		return proofhouse.Errorf(proofhouse.Limit, err, "a report has at most %d bytes, as JSON: attach what is longer as evidence", maxReport)
	}
	if len(c.Reports) >= maxReports {
		return proofhouse.Errorf(proofhouse.Limit, nil, "a case has at most %d versions of its report", maxReports)
	}
	c.Reports = append(slices.Clip(c.Reports), FiledReport{
		Version: len(c.Reports) + 1, Report: a.Report, Salt: a.Salt, Commitment: reportCommitment(a.Report.tiers(a.Salt)), At: now, By: by,
	})
	return nil
}

// PublishReport makes the public tier of a version public: it can be read
// without an account from then on.
type PublishReport struct {
	Version int `json:"version"`
}

// Kind implements Act.
func (PublishReport) Kind() Kind { return KindPublishReport }

func (a PublishReport) apply(c *Case, _ proofhouse.Actor, now time.Time) error {
	r, err := c.report(a.Version)
	if err != nil {
		return err
	}
	if !r.Published.IsZero() {
		return proofhouse.Errorf(proofhouse.Conflict, nil, "version %d of the report is public already", a.Version)
	}
	if len(r.Report.For(PublicTier).Paragraphs) == 0 {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "version %d of the report has no paragraph for the public", a.Version)
	}
	c.Reports = slices.Clone(c.Reports)
	c.Reports[a.Version-1].Published = now
	return nil
}

func (c Case) report(version int) (FiledReport, error) {
	if version < 1 || version > len(c.Reports) {
		return FiledReport{}, proofhouse.Errorf(proofhouse.NotFound, nil, "there is no version %d of the report", version)
	}
	return c.Reports[version-1], nil
}

// ReportFor is a version of the report for the readers of one tier; 0 is the
// last. Who they are is for policy to say. The error is proofhouse.NotFound.
func (c Case) ReportFor(t Tier, version int) (TierReport, error) {
	if version == 0 {
		version = max(1, len(c.Reports))
	}
	r, err := c.report(version)
	if err != nil {
		return TierReport{}, err
	}
	return TierReport{
		Version: r.Version, At: r.At, Tier: t, Report: r.Report.For(t), Commitment: r.Commitment, Salt: r.Salt.tierSalt(t), Tiers: r.Report.tiers(r.Salt),
	}, nil
}

// PublishedReport is what anybody may read: the public tier of a version that was
// published; 0 is the last such. The error is proofhouse.NotFound.
func (c Case) PublishedReport(version int) (TierReport, error) {
	for _, r := range slices.Backward(c.Reports) {
		if !r.Published.IsZero() && (version == 0 || version == r.Version) {
			return c.ReportFor(PublicTier, r.Version)
		}
	}
	return TierReport{}, proofhouse.Errorf(proofhouse.NotFound, nil, "no such report was published")
}
