package wire

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
)

// Accepted is the receipt for a report.
type Accepted struct {
	Receipt string             `json:"receipt" doc:"the finding's name"`
	Message string             `json:"message"`
	Project string             `json:"project" doc:"the package URL without a version"`
	Aware   time.Time          `json:"aware" doc:"when the house came to know of it"`
	Marking proofhouse.Marking `json:"marking"`
	Seq     int                `json:"seq" doc:"where it stands in the project's record"`
	// Commitment is the leaf of the public log that stands for it.
	Commitment string `json:"commitment" doc:"SHA-256 in hexadecimal: the leaf by which the public log holds the house to this"`
}

// Submission is where a report stands, as the field's intake API says it.
type Submission struct {
	Receipt string    `json:"receipt"`
	Status  string    `json:"status" enum:"queued,processing,done"`
	At      time.Time `json:"at" doc:"of the last change"`
	// State and Reason are the house's own words.
	State  clearing.State `json:"state"`
	Reason string         `json:"reason,omitempty"`
}

// FindingLine is a finding in a list.
type FindingLine struct {
	ID      clearing.FindingID        `json:"id"`
	Purl    string                    `json:"purl"`
	Title   string                    `json:"title"`
	By      proofhouse.OrganisationID `json:"by"`
	Aware   time.Time                 `json:"aware"`
	State   clearing.State            `json:"state"`
	Marking proofhouse.Marking        `json:"marking"`
}

// FindingLines are a page of findings.
type FindingLines struct {
	Findings []FindingLine `json:"findings" nullable:"false"`
	Next     string        `json:"next,omitempty" doc:"where the next page begins; nothing after the last"`
}

// FindingView is a finding and what became of it.
type FindingView struct {
	clearing.Finding
	Project string           `json:"project"`
	State   clearing.State   `json:"state"`
	Patches []clearing.Patch `json:"patches" nullable:"false" doc:"that were brought for it"`
	Bug     *Bug             `json:"bug,omitempty"`
}

// Bug is what is known of the bug that a finding is of.
type Bug struct {
	Reports int                `json:"reports" doc:"how many confirmed findings are of it"`
	Finders int                `json:"finders" doc:"of how many organisations"`
	Packet  *clearing.Packet   `json:"packet,omitempty" doc:"the last, once one went out; for coordinators as soon as it is made"`
	ID      clearing.FindingID `json:"id,omitempty" doc:"for coordinators and auditors: of the cluster"`
	Best    clearing.PatchID   `json:"best_patch,omitempty"`
}

// ClusterView is a cluster with what makes it one.
type ClusterView struct {
	clearing.Cluster
	Project string           `json:"project"`
	Lines   []FindingLine    `json:"findings" nullable:"false"`
	Edges   []clearing.Edge  `json:"edges" nullable:"false" doc:"the evidence between its members"`
	Near    []clearing.Edge  `json:"near" nullable:"false" doc:"findings outside that may be of the same bug: nothing was executed that tells"`
	Patches []clearing.Patch `json:"patches" nullable:"false"`
	Cells   []clearing.Cell  `json:"cells" nullable:"false" doc:"what its proofs do under the least parts of patches"`
	Best    clearing.PatchID `json:"best_patch,omitempty"`
	Packet  *clearing.Packet `json:"packet,omitempty"`
}

// ProjectView is a project with what waits and what went out.
type ProjectView struct {
	Purl        string               `json:"purl"`
	Version     int                  `json:"version"`
	Declaration clearing.Declaration `json:"declaration"`
	Blocked     string               `json:"blocked,omitempty" doc:"why no packet may go out now"`
	States      map[string]int       `json:"states" doc:"how many findings are in which state"`
	Bugs        []Bug                `json:"bugs" nullable:"false"`
	Packets     []clearing.Packet    `json:"packets" nullable:"false"`
}

// Projects is a page of the house's projects.
type Projects struct {
	Projects []string `json:"projects" nullable:"false" doc:"package URLs without a version"`
	Next     string   `json:"next,omitempty"`
}

// PacketView is a packet with its text.
type PacketView struct {
	clearing.Packet
	Project string `json:"project"`
	Letter  string `json:"letter" doc:"what the maintainer reads"`
	Blocked string `json:"blocked,omitempty" doc:"why it may not go out now"`
}

// The requests.
type (
	// NewPatch is a patch for a finding.
	NewPatch struct {
		Fix        string             `json:"fix" minLength:"1" maxLength:"1048576" doc:"a unified diff of the project's code"`
		Regression string             `json:"regression,omitempty" maxLength:"1048576" doc:"a diff that adds a test"`
		After      []clearing.PatchID `json:"after,omitempty" maxItems:"16" doc:"patches that it is made on top of"`
	}
	// NewRetry has a finding tried again.
	NewRetry struct {
		Reason string `json:"reason" minLength:"1" maxLength:"2000"`
	}
	// NewDecision says whether two findings are of one bug.
	NewDecision struct {
		Other  clearing.FindingID `json:"other" maxLength:"100"`
		Same   bool               `json:"same"`
		Reason string             `json:"reason" minLength:"1" maxLength:"2000"`
	}
	// NewDeclaration is a project's declaration, as its file says it.
	NewDeclaration struct {
		TOML string `json:"toml" maxLength:"65536" doc:"docs/design/clearing.md has the keys"`
	}
	// NewPacket makes a packet of the bug that a finding is of.
	NewPacket struct {
		Finding clearing.FindingID `json:"finding" maxLength:"100"`
		Contact string             `json:"contact" minLength:"1" maxLength:"300" doc:"a person who answers: NAME <ADDRESS>"`
	}
	// NewReply is what a project said to a packet.
	NewReply struct {
		Answer clearing.Answer `json:"answer" enum:"acknowledged,accepted,fixed,duplicate,not a bug,will not fix"`
		Note   string          `json:"note,omitempty" maxLength:"2000"`
	}
	// NewPatchDone answers NewPatch.
	NewPatchDone struct {
		Patch clearing.PatchID `json:"patch"`
	}
)

// Submit brings a finding. Under one key, or without one if all of it is the same, it is brought once.
func (c Client) Submit(ctx context.Context, r clearing.Report, key string) (Accepted, error) {
	if c.HTTP == nil {
		c.HTTP = slow
	}
	return send[Accepted](ctx, c, "/v1/reports", r, http.Header{"Idempotency-Key": {key}})
}

// Findings is a page of findings: state "" is all.
func (c Client) Findings(ctx context.Context, state clearing.State, project, after string, limit int) (FindingLines, error) {
	v := url.Values{}
	for name, value := range map[string]string{"state": string(state), "project": project, "after": after} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return get[FindingLines](ctx, c, "/v1/findings", v)
}

func findingPath(id clearing.FindingID) string { return "/v1/findings/" + url.PathEscape(string(id)) }

// Finding is a finding.
func (c Client) Finding(ctx context.Context, id clearing.FindingID) (FindingView, error) {
	return get[FindingView](ctx, c, findingPath(id), nil)
}

// FindingFile writes a file of a finding, or the statement of a reproduction, to w.
func (c Client) FindingFile(ctx context.Context, id clearing.FindingID, of proofhouse.Digest, w io.Writer) error {
	if c.HTTP == nil {
		c.HTTP = slow
	}
	resp, err := c.do(ctx, http.MethodGet, findingPath(id)+"/files/"+url.PathEscape(string(of)), nil, nil)
	return save(resp, err, w)
}

// FindingReceipt writes the receipt of the public log for a finding to w.
func (c Client) FindingReceipt(ctx context.Context, id clearing.FindingID, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, findingPath(id)+"/receipt", nil, nil)
	return save(resp, err, w)
}

// TakeBack takes a finding back.
func (c Client) TakeBack(ctx context.Context, id clearing.FindingID) (FindingView, error) {
	return send[FindingView](ctx, c, findingPath(id)+"/withdraw", struct{}{}, nil)
}

// Retry has a finding tried again that is not confirmed.
func (c Client) Retry(ctx context.Context, id clearing.FindingID, reason string) (FindingView, error) {
	return send[FindingView](ctx, c, findingPath(id)+"/retry", NewRetry{reason}, nil)
}

// OfferPatch offers a patch for a finding.
func (c Client) OfferPatch(ctx context.Context, id clearing.FindingID, p NewPatch, key string) (NewPatchDone, error) {
	return send[NewPatchDone](ctx, c, findingPath(id)+"/patches", p, http.Header{"Idempotency-Key": {key}})
}

// Cluster is the cluster that a finding is in.
func (c Client) Cluster(ctx context.Context, id clearing.FindingID) (ClusterView, error) {
	return get[ClusterView](ctx, c, findingPath(id)+"/cluster", nil)
}

// Decide merges two findings or keeps them apart.
func (c Client) Decide(ctx context.Context, id clearing.FindingID, d NewDecision) (ClusterView, error) {
	return send[ClusterView](ctx, c, findingPath(id)+"/decisions", d, nil)
}

// Projects are the house's projects after a page.
func (c Client) Projects(ctx context.Context, after string) (Projects, error) {
	v := url.Values{}
	if after != "" {
		v.Set("after", after)
	}
	return get[Projects](ctx, c, "/v1/projects", v)
}

// Project is one of them.
func (c Client) Project(ctx context.Context, purl string) (ProjectView, error) {
	return get[ProjectView](ctx, c, "/v1/project", url.Values{"purl": {purl}})
}

// Declare says how a project wants to be told.
func (c Client) Declare(ctx context.Context, purl string, d NewDeclaration) (ProjectView, error) {
	return send[ProjectView](ctx, c, "/v1/project/declaration?"+url.Values{"purl": {purl}}.Encode(), d, nil)
}

func packetPath(id clearing.PacketID) string { return "/v1/packets/" + url.PathEscape(string(id)) }

// MakePacket makes a packet.
func (c Client) MakePacket(ctx context.Context, p NewPacket) (PacketView, error) {
	return send[PacketView](ctx, c, "/v1/packets", p, nil)
}

// Packet is a packet.
func (c Client) Packet(ctx context.Context, id clearing.PacketID) (PacketView, error) {
	return get[PacketView](ctx, c, packetPath(id), nil)
}

// PacketArchive writes what goes out with a packet to w: a ZIP archive.
func (c Client) PacketArchive(ctx context.Context, id clearing.PacketID, w io.Writer) error {
	if c.HTTP == nil {
		c.HTTP = slow
	}
	resp, err := c.do(ctx, http.MethodGet, packetPath(id)+"/archive", nil, nil)
	return save(resp, err, w)
}

// ReleasePacket records that a person sends a packet.
func (c Client) ReleasePacket(ctx context.Context, id clearing.PacketID) (PacketView, error) {
	return send[PacketView](ctx, c, packetPath(id)+"/release", struct{}{}, nil)
}

// Reply notes what the project said to a packet.
func (c Client) Reply(ctx context.Context, id clearing.PacketID, r NewReply) (PacketView, error) {
	return send[PacketView](ctx, c, packetPath(id)+"/reply", r, nil)
}
